"""The progress of several drains is that of one: sums, and the end of the last one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from batchflow.coordinator.progress import Progress, StepProgress
from batchflow.shards.progress import progress_of_all

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
STEP = StepProgress(
    workflow="orders",
    step="pay",
    from_status="NEW",
    to_statuses=("PAID",),
    left=10,
    failed=1,
    skipped=0,
    retrying=2,
    per_second=5.0,
    done_by=NOW,
)
ONE = Progress(
    at=NOW,
    finished=3,
    left=10,
    paused=1,
    failed=1,
    skipped=0,
    retrying=2,
    next_retry_at=NOW + timedelta(minutes=1),
    executed=4,
    per_second=5.0,
    advanced=3,
    steps_left=10,
    done_by=NOW,
    earliest=NOW,
    latest=NOW,
    status_counts={"orders": {"NEW": 10, "PAID": 3}},
    steps=(STEP,),
    chunks_in_flight=2,
)


def test_counts_are_added_up_and_the_last_end_counts() -> None:
    later = NOW + timedelta(hours=1)
    slower = replace(STEP, left=30, done_by=later, breaker_open=True)
    two = replace(ONE, done_by=later, next_retry_at=None, steps=(slower,))
    both = progress_of_all([ONE, two])

    assert both is not None
    assert (both.finished, both.left, both.per_second, both.chunks_in_flight) == (6, 20, 10.0, 4)
    assert (both.done_by, both.next_retry_at) == (later, ONE.next_retry_at)
    assert both.status_counts == {"orders": {"NEW": 20, "PAID": 6}}
    [step] = both.steps
    assert (step.left, step.failed, step.done_by, step.breaker_open) == (40, 2, later, True)


def test_the_end_is_unknown_while_that_of_one_is() -> None:
    both = progress_of_all([ONE, replace(ONE, done_by=None)])
    assert both is not None
    assert both.done_by is None
    assert progress_of_all([]) is None
