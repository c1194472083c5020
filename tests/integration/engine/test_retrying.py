"""Runs that are put back while an engine runs, or before the next night."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

import batchflow as bf
from batchflow.testing import FakeClock
from kit.things import Stage, Thing, finish, load, things

BROKEN = threading.Event()


def finish_unless_broken(run: bf.Run[Thing, Stage]) -> Stage:
    if BROKEN.is_set() and run.object.number % 2:
        raise ConnectionError("the provider is down")
    return Stage.DONE


@pytest.fixture
def broken() -> None:
    BROKEN.set()


@pytest.mark.usefixtures("broken")
def test_a_running_engine_executes_retried_runs_at_once(path: Path) -> None:
    workflow = things(finish_unless_broken, retry=bf.Retry(backoff_seconds=1000))
    with bf.Engine(path, workflow, workers=0) as engine:
        engine.start()
        run_id = engine.trigger("one", Thing(1))
        engine.wait(engine.trigger("two", Thing(2)), timeout_seconds=20)
        while not engine.errors().fetchall():
            pass
        BROKEN.clear()
        with bf.connect(path) as client:
            assert client.retry("attempt > 1", reason="the provider is back").changed == 1
        assert engine.wait(run_id, timeout_seconds=20).status is Stage.DONE
        assert engine.retry("foreign_id = 'two'", at=Stage.NEW).changed == 1
        assert engine.wait("two", timeout_seconds=20).status is Stage.DONE
        while (progress := engine.progress()) is None or progress.executed < 4:
            pass
        # Both have finished, one of them twice.
        assert (progress.finished, progress.left, progress.retrying) == (2, 0, 0)


def test_a_run_that_is_put_back_is_pruned_and_loaded_once(path: Path) -> None:
    clock = FakeClock()
    with bf.Engine(path, things(finish), workers=0, clock=clock) as engine:
        load(engine, 3)
        engine.run(progress=False)
        clock.advance(60)
        assert engine.retry("number < 2", at=Stage.NEW).changed == 2
        # They are unfinished, so they are neither pruned nor loaded again.
        assert engine.prune(timedelta(0), dry_run=True).runs == 1
        again = "SELECT range AS number FROM range(3)"
        assert engine.trigger_many(again, foreign_id="number", once=True).loaded == 0
        report = engine.run(progress=False)
        assert [(each.status, each.runs) for each in report.statuses] == [("DONE", 3)]
        assert (report.runs, report.outcome("advanced")) == (2, 2)
        assert engine.prune(timedelta(30), dry_run=True).runs == 0
        clock.advance(1)
        assert engine.prune(timedelta(0)).runs == 3
        assert engine.trigger_many(again, foreign_id="number", once=True).loaded == 0
        kept = engine.sql(
            "SELECT count(*), count(DISTINCT foreign_id_hash) FROM batchflow.pruned_ids"
        )
        assert kept.fetchall() == [(3, 3)]


def fail_in_two_ways(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.number % 3 == 0:
        raise ConnectionError(f"provider {run.object.number} is down")
    if run.object.number % 3 == 1:
        raise ValueError(f"thing {run.object.number} is broken")
    return Stage.DONE


def test_the_runs_of_a_cause_are_retried(path: Path) -> None:
    workflow = things(fail_in_two_ways, retry=bf.Retry(pause_after=1))
    with bf.Engine(path, workflow, workers=0) as engine:
        load(engine, 9)
        engine.run(progress=False)
        causes = dict(engine.errors().select("type, cause").fetchall())
        down = causes["ConnectionError"]
        engine.resume("number = 3")
        assert engine.retry(cause=down, dry_run=True).changed == 2
        assert engine.retry("number > 4", cause=down).changed == 1
        assert engine.runs("run_state = 'RUNNING'").order("seq").select("number").fetchall() == [
            (3,),
            (6,),
        ]
        with pytest.raises(bf.InvalidOptionError, match="has the cause 'unknown'; give one"):
            engine.retry(cause="unknown")
        with pytest.raises(bf.InvalidOptionError, match="only one of cause= and run_ids="):
            engine.retry(cause=down, run_ids=[])
        with pytest.raises(bf.InvalidOptionError, match="give the text in the column 'cause'"):
            engine.retry(cause=7)  # type: ignore[arg-type]
    with bf.connect(path) as store:
        assert store.retry(cause=down).changed == 1
