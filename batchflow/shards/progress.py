"""The progress of the drains of several shards, as that of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from batchflow.coordinator.progress import Progress, StepProgress
from batchflow.shards.by_key import merged_by_key


def progress_of_all(found: Sequence[Progress]) -> Progress | None:
    """Return the progress of all drains together; None if there is none.

    The end is that of the shard that ends last, and isn't known while that of one isn't.
    """
    if not found:
        return None
    return Progress(
        at=max(each.at for each in found),
        finished=sum(each.finished for each in found),
        left=sum(each.left for each in found),
        paused=sum(each.paused for each in found),
        failed=sum(each.failed for each in found),
        skipped=sum(each.skipped for each in found),
        retrying=sum(each.retrying for each in found),
        next_retry_at=min(
            (each.next_retry_at for each in found if each.next_retry_at), default=None
        ),
        executed=sum(each.executed for each in found),
        per_second=sum(each.per_second for each in found),
        advanced=sum(each.advanced for each in found),
        steps_left=sum(each.steps_left for each in found),
        done_by=_last(each.done_by for each in found),
        earliest=_last(each.earliest for each in found),
        latest=_last(each.latest for each in found),
        status_counts=_counts(found),
        steps=_steps(found),
        chunks_in_flight=sum(each.chunks_in_flight for each in found),
    )


def _last(moments: Iterable[datetime | None]) -> datetime | None:
    every = list(moments)
    known = [each for each in every if each is not None]
    return max(known) if len(known) == len(every) else None


def _counts(found: Sequence[Progress]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for each in found:
        for workflow, of_workflow in each.status_counts.items():
            of_all = counts.setdefault(workflow, Counter())
            for status, runs in of_workflow.items():
                of_all[status] += runs
    return {workflow: dict(of_all) for workflow, of_all in counts.items()}


def _steps(found: Sequence[Progress]) -> tuple[StepProgress, ...]:
    steps = merged_by_key(
        (step for each in found for step in each.steps),
        lambda step: (step.workflow, step.step, step.from_status),
        _together,
    )
    return tuple(steps.values())


def _together(first: StepProgress, second: StepProgress) -> StepProgress:
    return replace(
        first,
        left=first.left + second.left,
        failed=first.failed + second.failed,
        skipped=first.skipped + second.skipped,
        retrying=first.retrying + second.retrying,
        per_second=first.per_second + second.per_second,
        done_by=_last((first.done_by, second.done_by)),
        breaker_open=first.breaker_open or second.breaker_open,
    )
