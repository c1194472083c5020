"""The remaining work of a drain and its estimated end, from given counts."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import batchflow as bf
from batchflow.coordinator import Forecast, Progress, Tally
from batchflow.coordinator.status_counts import StatusCounts
from batchflow.definition import Outcome
from kit.things import Thing

NOON = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


class Stage(enum.Enum):
    NEW = "new"
    PRICED = "priced"
    PAID = "paid"
    REFUSED = "refused"
    SENT = "sent"


def parcels(name: str = "parcels") -> bf.Workflow[Thing, Stage]:
    workflow = bf.Workflow(name, Thing, Stage)

    def price(run: Any) -> Stage:
        return Stage.PRICED

    def pay(run: Any) -> Stage:
        return Stage.PAID

    def send(run: Any) -> Stage:
        return Stage.SENT

    workflow.add_step(Stage.NEW, price, Stage.PRICED)
    workflow.add_step(Stage.PRICED, pay, Stage.PAID, Stage.REFUSED, Stage.NEW)
    workflow.add_step(Stage.PAID, send, Stage.SENT)
    return workflow


class Followed:
    """A drain of some workflows whose counts are set by the test."""

    def __init__(self, *workflows: bf.Workflow[Thing, Stage]) -> None:
        self.workflows = workflows
        self.status_counts = {each.name: StatusCounts(each) for each in workflows}
        self.tally = Tally(list(workflows), self.status_counts)
        self.forecast = Forecast(workflows)

    def advance(
        self, code: int, to: int, runs: int, name: str = "parcels", seconds: float = 0.0
    ) -> None:
        self.status_counts[name].runs[[code, to]] += [-runs, runs]
        self.status_counts[name].executed[code] += runs
        self.status_counts[name].moved[code, to] += runs
        step = self.tally.steps[name, code]
        step.counts[Outcome.ADVANCED] += runs
        step.seconds += seconds
        step.chunks += 1

    def at(self, seconds: float) -> Progress:
        self.forecast.observe(self.tally, seconds, NOON + timedelta(seconds=seconds))
        assert self.forecast.progress is not None
        return self.forecast.progress


@pytest.fixture
def followed() -> Followed:
    followed = Followed(parcels())
    followed.status_counts["parcels"].runs[:] = [100, 20, 3, 0, 0]
    return followed


def test_a_step_has_left_all_runs_that_may_reach_its_status(
    followed: Followed,
) -> None:
    progress = followed.at(0)

    assert [step.left for step in progress.steps] == [100, 120, 123]
    assert [step.to_statuses for step in progress.steps] == [
        ("PRICED",), ("PAID", "REFUSED", "NEW"), ("SENT",)
    ]  # fmt: skip
    assert progress.left == 123
    assert progress.steps_left == 3 * 100 + 2 * 20 + 3


def test_runs_that_return_for_ever_have_an_end_that_is_far_away() -> None:
    def step(run: Any) -> Stage:
        return Stage.NEW

    workflow = bf.Workflow("parcels", Thing, Stage)
    workflow.add_step(Stage.NEW, step, Stage.PRICED)
    workflow.add_step(Stage.PRICED, step, Stage.PAID)
    workflow.add_step(Stage.PAID, step, Stage.NEW, Stage.PRICED, Stage.SENT)
    followed = Followed(workflow)
    followed.status_counts["parcels"].runs[:] = [100, 100, 100, 0, 0]
    followed.at(0)
    for code, to in ((0, 1), (1, 2), (2, 0), (2, 1)):
        followed.advance(code, to, 10, seconds=1.0)
    progress = followed.at(10)

    assert progress.done_by is not None
    assert progress.done_by > NOON + timedelta(minutes=5)


def test_without_any_work_done_the_end_is_not_known(followed: Followed) -> None:
    progress = followed.at(0)

    assert progress.done_by is None
    assert [step.done_by for step in progress.steps] == [None] * 3
    assert str(progress).splitlines() == [
        "0 of 123 runs finished; 0 steps, 0 a second",
        "NEW → PRICED: 100 left at most, 0 a second",
        "PRICED → PAID | REFUSED | NEW: 120 left at most, 0 a second",
        "PAID → SENT: 123 left at most, 0 a second",
    ]


def test_each_step_has_its_own_rate_and_all_have_the_same_end(followed: Followed) -> None:
    followed.at(0)
    followed.advance(0, 1, 50, seconds=5.0)
    followed.advance(1, 2, 10, seconds=4.0)
    followed.advance(2, 4, 1, seconds=1.0)
    progress = followed.at(10)

    assert [step.per_second for step in progress.steps] == [5.0, 1.0, 0.1]
    assert [step.left for step in progress.steps] == [50, 110, 122]
    # 50 at 0.1 s, these and 60 at 0.4 s, and these and 12 at 1 s.
    assert progress.done_by is not None
    assert (progress.done_by - progress.at).total_seconds() == pytest.approx(171, rel=0.01)
    assert {step.done_by for step in progress.steps} == {progress.done_by}
    assert progress.earliest < progress.done_by < progress.latest  # type: ignore[operator]
    assert (progress.finished, progress.executed, progress.per_second) == (1, 61, 6.1)


def test_runs_at_a_terminal_status_are_left_to_no_step(followed: Followed) -> None:
    followed.at(0)
    followed.advance(1, 3, 20)
    progress = followed.at(1)

    assert [step.left for step in progress.steps] == [100, 100, 103]
    assert progress.finished == 20


def test_the_rate_is_that_of_the_last_half_minute(followed: Followed) -> None:
    followed.status_counts["parcels"].runs[0] = 1_000_000
    for second in range(100):
        followed.at(second)
        followed.advance(0, 1, 10 if second < 50 else 1_000)

    assert followed.at(100).steps[0].per_second == pytest.approx(1_000)


def test_time_without_work_does_not_count(followed: Followed) -> None:
    followed.status_counts["parcels"].runs[:] = [0, 0, 1, 0, 0]
    followed.at(0)
    followed.advance(2, 4, 1)
    assert followed.at(1).left == 0

    followed.status_counts["parcels"].runs[2] = 500
    followed.at(1_000)
    followed.advance(2, 4, 100)
    assert followed.at(1_001).steps[2].per_second == 100


def test_another_drain_starts_with_a_rate_of_zero(followed: Followed) -> None:
    followed.at(0)
    followed.advance(0, 1, 50)
    followed.at(1)
    followed.tally = Tally(list(followed.workflows), followed.status_counts)

    assert followed.at(2).steps[0].per_second == 0


def test_a_drain_without_remaining_work_is_done_now() -> None:
    followed = Followed(parcels())
    progress = followed.at(0)

    assert progress.done_by == NOON
    assert not progress.lines


def test_with_several_workflows_each_line_names_its_workflow() -> None:
    followed = Followed(parcels(), parcels("letters"))
    followed.status_counts["letters"].runs[2] = 7
    progress = followed.at(0)

    assert [line for _, line in progress.lines] == [
        "letters: PAID → SENT: 7 left at most, 0 a second"
    ]
    assert progress.status_counts["letters"] == {
        "NEW": 0, "PRICED": 0, "PAID": 7, "REFUSED": 0, "SENT": 0
    }  # fmt: skip


def test_paused_runs_and_failures_are_counted(followed: Followed) -> None:
    followed.tally.steps["parcels", 0].counts[Outcome.FAILED] = 5
    followed.status_counts["parcels"].paused = 2
    progress = followed.at(0)

    assert (progress.paused, progress.failed) == (2, 5)
    assert "; 2 paused; 5 failures; " in progress.summary


def test_runs_that_a_step_skips_are_counted(followed: Followed) -> None:
    followed.tally.steps["parcels", 0].counts[Outcome.SKIPPED] = 3
    progress = followed.at(0)

    assert progress.skipped == progress.steps[0].skipped == 3
    assert "; 3 skipped; " in progress.summary
    assert progress.lines[0][1].endswith(", 3 skipped")


def test_runs_that_wait_for_a_retry_are_counted_and_awaited(followed: Followed) -> None:
    followed.at(0)
    for code, to in ((0, 1), (1, 2), (2, 4)):
        followed.advance(code, to, 1, seconds=0.001)
    counts = followed.status_counts["parcels"]
    counts.retrying[0] = 3
    counts.next_retry_at, counts.last_retry_at = (NOON + timedelta(minutes=m) for m in (1, 5))
    followed.tally.awaits_retries = True
    progress = followed.at(1)

    assert "; 3 wait for a retry, the next at 12:01:00 UTC; " in progress.summary
    assert progress.retrying == progress.steps[0].retrying == 3
    assert progress.done_by == NOON + timedelta(minutes=5)

    # The retry that is shown is never in the past.
    assert "; 3 wait for a retry; " in followed.at(60).summary
    progress = followed.at(300)
    assert (progress.retrying, progress.steps[0].retrying, progress.next_retry_at) == (0, 0, None)


def test_a_range_is_shown_until_more_is_known(followed: Followed) -> None:
    followed.status_counts["parcels"].runs[:] = [0, 0, 100_000, 0, 0]
    followed.at(0)
    followed.advance(2, 4, 100, seconds=10.0)
    assert "done between " in followed.at(10).summary
    for second in range(20, 6_000, 10):
        followed.advance(2, 4, 100, seconds=10.0)
        progress = followed.at(second)

    assert "done by " in progress.summary


def test_a_notebook_shows_the_progress_as_a_table(followed: Followed) -> None:
    followed.at(0)
    followed.advance(0, 1, 50)
    shown = followed.at(10)._repr_html_()

    assert "0 of 123 runs finished; 50 steps, 5 a second" in shown
    assert ">failed</th>" in shown
    assert [shown.count(f">{name}</td>") for name in ("price", "pay", "send")] == [1, 1, 1]
