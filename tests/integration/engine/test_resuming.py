"""Runs that failed too often are put back by the engine, if their step's `Retry` says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

import batchflow as bf
from batchflow.testing import FakeClock
from kit.things import Stage, Thing, load, things


class Provider:
    """Whether the steps below fail."""

    down = True


@pytest.fixture(autouse=True)
def down() -> None:
    Provider.down = True


def call(run: bf.Run[Thing, Stage]) -> Stage | None:
    if run.object.number == 0:
        return run.pause("by its step")
    if Provider.down:
        raise ConnectionError("the provider is down")
    return Stage.DONE


def called(**retry: object) -> bf.Workflow[Thing, Stage]:
    return things(call, retry=bf.Retry(pause_after=1, **retry))  # type: ignore[arg-type]


def states(engine: bf.Engine) -> dict[int, str]:
    return dict(engine.runs().select("number, run_state::VARCHAR").fetchall())


def test_only_runs_that_failed_too_often_are_put_back(path: Path) -> None:
    clock = FakeClock()
    workflow = called(resume_after=timedelta(hours=1))
    workflow.invariant("no thing is the fourth", "number <> 4 OR status <> 'DONE'")
    with bf.Engine(path, workflow, workers=0, clock=clock) as engine:
        load(engine, 6)
        engine.pause("number = 1", reason="failed once, last with ConnectionError")
        engine.run(limit=5, progress=False)
        engine.edit("number = 2", set={"number": "20"})
        engine.resume("number IN (3, 4)")
        Provider.down = False
        engine.run(progress=False)
        # The third has finished, and the fourth breaks the invariant.
        clock.advance(3599)
        assert engine.run(progress=False).runs == 0
        clock.advance(1)
        report = engine.run(progress=False)
        assert (report.runs, report.outcome("advanced")) == (2, 2)
        assert states(engine) == {
            0: "PAUSED",
            1: "PAUSED",
            3: "COMPLETED",
            4: "PAUSED",
            5: "COMPLETED",
            20: "COMPLETED",
        }
        log = engine.history("5").select("outcome, reason").fetchall()
        assert log == [
            ("failed", "failed once, last with ConnectionError"),
            ("retried", "retried by the engine"),
            ("advanced", None),
        ]
        assert engine.check().ok


def test_a_run_is_put_back_as_often_as_its_step_says_until_a_person_does(path: Path) -> None:
    clock = FakeClock()
    with bf.Engine(path, called(resume_after=60, resume_most=2), workers=0, clock=clock) as engine:
        engine.trigger("one", Thing(1))
        # It waits for them as for other retries.
        report = engine.run(wait_for_retries=True, progress=False)
        assert (report.runs, report.newly_paused) == (3, 1)
        assert (clock.now() - FakeClock().now()).total_seconds() == pytest.approx(120, abs=1)
        clock.advance(1000)
        assert engine.run(progress=False).runs == 0
        engine.retry("number = 1")
        assert engine.run(wait_for_retries=True, progress=False).runs == 3


def test_an_engine_that_runs_forever_puts_runs_back_in_time(path: Path) -> None:
    with bf.Engine(path, called(resume_after=0.05), workers=0) as engine:
        engine.start()
        run_id = engine.trigger("one", Thing(1))
        while not engine.errors().fetchall():
            pass
        Provider.down = False
        while engine.get(run_id).status is not Stage.DONE:
            pass


def test_runs_that_failed_in_the_store_are_put_back(path: Path) -> None:
    clock = FakeClock()
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.sql_step(
        Stage.NEW,
        to=[Stage.DONE],
        set={"number": "number / 0 + error('it is odd')::INTEGER"},
        status=Stage.DONE,
        retry=bf.Retry(pause_after=1, resume_after=60),
    )
    with bf.Engine(path, workflow, workers=0, clock=clock) as engine:
        engine.trigger("one", Thing(1))
        assert engine.run(wait_for_retries=True, progress=False).runs == 2


def test_without_the_option_or_the_log_nothing_is_put_back(path: Path) -> None:
    clock = FakeClock()
    with bf.Engine(path, called(), workers=0, clock=clock) as engine:
        load(engine, 3)
        engine.run(progress=False)
        clock.advance(10**7)
        assert engine.run(wait_for_retries=True, progress=False).runs == 0
    unlogged = bf.Workflow("unlogged", Thing, Stage, record_transitions=False)
    unlogged.add_step(Stage.NEW, call, Stage.DONE, retry=bf.Retry(resume_after=1))
    with pytest.raises(bf.DefinitionError, match="resume_after needs the log of transitions"):
        bf.Engine(":memory:", unlogged, workers=0)
