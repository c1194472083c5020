"""Runs that were put back take a share of the workers only, as long as other runs wait."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import batchflow as bf
from kit.things import Stage, Thing, load, things

EXECUTED: list[int] = []


def note(run: bf.Run[Thing, Stage]) -> Stage:
    EXECUTED.append(run.object.number)
    time.sleep(0.0003)
    return Stage.DONE


@pytest.fixture
def engine(path: Path) -> bf.Engine:
    """Return an engine with 100 runs that were put back, and 400 after them."""
    engine = bf.Engine(path, things(note, chunk_rows=10), workers=0)
    load(engine, 100)
    engine.pause("true")
    engine.retry("true")
    load(engine, 400, first=100)
    EXECUTED.clear()
    return engine


def reruns_among(numbers: list[int]) -> int:
    return sum(number < 100 for number in numbers)


def test_reruns_take_their_share_until_nothing_else_waits(engine: bf.Engine) -> None:
    with engine:
        report = engine.run(rerun_share=0.1, progress=False)
        assert (report.runs, len(set(EXECUTED)), report.ended_by) == (500, 500, "idle")
        assert 10 <= reruns_among(EXECUTED[:200]) <= 50
        # After the last of the others, they have all workers.
        assert reruns_among(EXECUTED[-30:]) == 30


def test_without_a_share_runs_are_executed_in_their_order(engine: bf.Engine) -> None:
    with engine:
        engine.run(progress=False)
        assert reruns_among(EXECUTED[:100]) == 100


def test_a_limit_and_a_background_drain_have_the_share_as_well(engine: bf.Engine) -> None:
    with engine:
        assert engine.run(rerun_share=0.1, limit=50, progress=False).runs == 50
        assert 1 <= reruns_among(EXECUTED) <= 20
        engine.start(rerun_share=0.1)
        while engine.runs("status = 'NEW'").fetchall():
            time.sleep(0.01)
        engine.stop()
        assert sorted(EXECUTED) == list(range(500))
        assert reruns_among(EXECUTED[-20:]) == 20


def test_a_run_that_is_put_back_while_it_is_executed_is_not_executed_twice_at_once(
    path: Path,
) -> None:
    def put_back_once(run: bf.Run[Thing, Stage]) -> Stage:
        EXECUTED.append(run.object.number)
        if run.object.number == 0 and EXECUTED.count(0) <= 2:
            # A commit would refuse a run that it has twice.
            engine.pause("number < 30")
            engine.retry("number < 30")
        return Stage.DONE

    EXECUTED.clear()
    workflow = things(put_back_once, chunk_rows=5)
    with bf.Engine(path, workflow, workers=0, config=bf.EngineConfig(serve=False)) as engine:
        load(engine, 60)
        report = engine.run(rerun_share=0.5, progress=False)
        assert (report.ended_by, report.left, report.count("DONE")) == ("idle", 0, 60)
        assert engine.check().ok


def test_reruns_are_known_from_the_log(path: Path) -> None:
    workflow = bf.Workflow("things", Thing, Stage, record_transitions=False)
    workflow.add_step(Stage.NEW, note, Stage.DONE)
    with bf.Engine(path, workflow, workers=0) as engine:
        load(engine, 5)
        engine.retry("true")
        assert engine.run(rerun_share=0.5, progress=False).runs == 5


@pytest.mark.parametrize("share", [0, -1, 1.5, True, "all"])
def test_a_share_is_above_0_and_at_most_1(path: Path, share: float) -> None:
    with bf.Engine(path, things(note), workers=0) as engine:
        for drain in (engine.run, engine.start):
            with pytest.raises(bf.InvalidOptionError, match="give a share of the workers"):
                drain(rerun_share=share)
