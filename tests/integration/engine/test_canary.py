"""A sample of the runs goes all the way first, and the drain ends if too much of it fails."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import pytest

import batchflow as bf


class Stage(enum.Enum):
    NEW = 1
    HALF = 2
    DONE = 3


@dataclass
class Thing:
    number: int
    fails: bool = False


def things() -> bf.Workflow[Thing, Stage]:
    workflow = bf.Workflow("things", Thing, Stage)

    @workflow.step(Stage.NEW, to=[Stage.HALF], retry=bf.Retry(pause_after=1))
    def halve(run: bf.Run[Thing, Stage]) -> Stage:
        if run.object.fails:
            raise ValueError("it fails")
        return Stage.HALF

    workflow.sql_step(Stage.HALF, to=[Stage.DONE], set={}, status=Stage.DONE)
    return workflow


@pytest.fixture
def engine() -> bf.Engine:
    """Return an engine in memory."""
    return bf.Engine(":memory:", things(), workers=0)


def statuses(engine: bf.Engine) -> dict[str, int]:
    counted = engine.counts().aggregate("status::VARCHAR, sum(runs)::BIGINT").fetchall()
    return dict(counted)


def test_a_sample_that_fails_ends_the_drain(engine: bf.Engine) -> None:
    with engine:
        engine.trigger_many(
            [Thing(at, fails=at % 2 == 0) for at in range(400)], foreign_id="number"
        )
        engine.trigger_many([Thing(at) for at in range(400, 500)], at="HALF", foreign_id="number")

        report = engine.run(canary=0.1, canary_failures=0.05, progress=False)

        assert report.ended_by == "canary"
        assert 5 <= report.newly_paused < 100
        done = report.count("DONE")
        assert 25 <= done < 150
        assert report.left == 500 - done - report.newly_paused
        assert "too many runs of the canary failed" in str(report)

        # Of each status at which runs began, some were tried.
        tried = engine.runs("version > 1").aggregate("count(*) FILTER (number < 400)").fetchall()
        assert 20 <= tried[0][0] < 120
        rest = engine.run(progress=False)
        assert (rest.ended_by, rest.left, statuses(engine)) == (
            "idle",
            0,
            {"NEW": 200, "DONE": 300},
        )


def test_a_sample_that_succeeds_is_followed_by_the_rest(engine: bf.Engine) -> None:
    with engine:
        engine.trigger_many(
            [Thing(at, fails=at % 50 == 0) for at in range(500)], foreign_id="number"
        )

        report = engine.run(canary=0.2, progress=False)

        assert (report.ended_by, report.left, report.newly_paused) == ("idle", 0, 10)
        assert statuses(engine) == {"NEW": 10, "DONE": 490}
        assert {step.step: step.runs for step in report.steps} == {"halve": 500, "sql:HALF": 490}
        assert [failure.count for failure in report.failures] == [10]


def test_a_few_runs_are_all_tried_first(engine: bf.Engine) -> None:
    with engine:
        engine.trigger_many([Thing(at, fails=at < 3) for at in range(12)], foreign_id="number")

        report = engine.run(canary=0.001, progress=False)

        assert (report.ended_by, report.left, report.newly_paused) == ("canary", 0, 3)


@pytest.mark.parametrize("share", [0, 1.5, True, "all"])
def test_a_share_is_between_0_and_1(engine: bf.Engine, share: float) -> None:
    with engine, pytest.raises(bf.InvalidOptionError, match="give a share of the runs"):
        engine.run(canary=share)
