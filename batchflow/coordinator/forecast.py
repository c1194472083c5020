"""A forecast of a drain's end, from its work over the last half minute."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.coordinator.progress import Progress, StepProgress
from batchflow.coordinator.remaining_time import (
    Observed,
    RemainingTime,
    expected_attempts,
    remaining_time,
    trailing_wait,
)
from batchflow.definition import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from batchflow.coordinator.tally import Tally
    from batchflow.definition import AnyWorkflow

_WINDOW_SECONDS: Final = 30.0
# The speed changes with the load of the machine and of services, so it is that of a shorter time.
_SPEED_SECONDS: Final = 10.0
# Fewer chunks of each worker don't show its speed, so the window is longer if they take long.
_WINDOW_CHUNKS: Final = 4


class Forecast:
    """Follows a drain's commits, and forecasts its end.

    One thread updates it; any thread may read `progress`.

    Attributes:
        progress: The progress of the drain under way; None without one.
    """

    def __init__(self, workflows: Sequence[AnyWorkflow]) -> None:
        self._workflows = workflows
        self._in_store = np.array(
            [step.kind.in_store for each in workflows for step in each.steps.values()], np.bool_
        )
        self._samples: deque[Observed] = deque()
        self._tally: Tally | None = None
        self._first_chunk_began = 0.0
        self.progress: Progress | None = None

    def update(self, tally: Tally) -> None:
        """Update the progress; called when a drain begins and after each commit."""
        self.observe(tally, time.monotonic(), datetime.now(UTC))

    def forget(self) -> None:
        """Remove the progress, because the drain has ended."""
        self.progress = None

    def observe(self, tally: Tally, seconds: float, at: datetime) -> None:
        """Update the progress as of a moment, given also by a clock that never jumps."""
        idle = self.progress is None or not self.progress.left
        if tally is not self._tally or idle:
            # The time before there was any work doesn't count.
            self._tally = tally
            self._samples.clear()
        observed = self._observed(tally, seconds)
        self._samples.append(observed)
        if observed.chunks.any() and not self._samples[max(0, len(self._samples) - 2)].chunks.any():
            in_workers = sum(step.seconds for step in tally.steps.values())
            self._first_chunk_began = seconds - in_workers / int(observed.chunks.sum())
        while len(self._samples) > 2 and self._samples[0].seconds < seconds - _WINDOW_SECONDS:
            self._samples.popleft()
        self.progress = self._progress(tally, at)

    def _observed(self, tally: Tally, seconds: float) -> Observed:
        steps = tally.steps.values()
        at_once = np.where(self._in_store, 1, tally.workers)
        return Observed(
            seconds=seconds,
            workers=tally.workers,
            since_previous=seconds - self._samples[-1].seconds if self._samples else 0.0,
            executed=np.array([step.runs for step in steps], np.int64),
            advanced=np.array([int(step.counts[Outcome.ADVANCED]) for step in steps], np.int64),
            busy=np.array([step.seconds for step in steps]) / at_once,
            chunks=np.array([step.chunks for step in steps], np.int64),
        )

    def _beginning(self) -> Observed:
        """Return the sample since which the work shows the present speed."""
        last = self._samples[-1]
        recent = self._samples[0]
        for sample in list(self._samples)[1:]:
            chunks = int((last.chunks - sample.chunks).sum())
            if (
                chunks < _WINDOW_CHUNKS * last.workers
                or sample.seconds > last.seconds - _SPEED_SECONDS
            ):
                break
            recent = sample
        if len(self._samples) > 1 and recent is self._samples[0] and not recent.chunks.any():
            # The workers may have had to start before their first chunks.
            return replace(recent, seconds=max(recent.seconds, self._first_chunk_began))
        return recent

    def _remaining(self, tally: Tally, at: datetime) -> RemainingTime | None:
        counts = tally.status_counts
        attempts = [expected_attempts(each, counts[each.name]) for each in self._workflows]
        executions = [each.sum(axis=1) for each in attempts]
        first, last = self._beginning(), self._samples[-1]
        known = remaining_time(np.concatenate(executions), self._in_store, first, last)
        retries = [each.last_retry_at for each in counts.values() if each.retrying.any()]
        due = max((moment for moment in retries if moment is not None), default=None)
        if known is None or due is None or not tally.awaits_retries:
            return known
        waits = [
            trailing_wait(workflow, counts[workflow.name], expected)
            for workflow, expected in zip(self._workflows, attempts, strict=True)
        ]
        before = np.concatenate([wait.executions for wait in waits])
        begins = remaining_time(before, self._in_store, first, last)
        assert begins is not None, "a part of the executions is known if all are"
        ends = begins.after(max(wait.seconds for wait in waits))
        return known.at_least((due - at).total_seconds()).until_both(ends)

    def _progress(self, tally: Tally, at: datetime) -> Progress:
        first, last = self._samples[0], self._samples[-1]
        # Samples within a microsecond say nothing about the rate.
        elapsed = max(last.seconds - first.seconds, 1e-6)
        remaining = self._remaining(tally, at)
        done_by = None if remaining is None else at + timedelta(seconds=remaining.likely)
        rates = (last.advanced - first.advanced) / elapsed
        all_counts = list(tally.status_counts.values())
        finished, left, steps_left = np.sum(
            [_summed(each, tally.status_counts[each.name].shown) for each in self._workflows],
            axis=0,
        ).tolist()
        due = [each.next_retry_after(at) for each in all_counts]
        return Progress(
            at=at,
            finished=finished,
            left=left,
            paused=tally.paused,
            failed=tally.count(Outcome.FAILED),
            skipped=tally.count(Outcome.SKIPPED),
            retrying=sum(int(each.retrying_at(at).sum()) for each in all_counts),
            next_retry_at=min((moment for moment in due if moment is not None), default=None),
            executed=int(last.executed.sum()),
            per_second=float((last.executed - first.executed).sum()) / elapsed,
            advanced=int(last.advanced.sum()),
            steps_left=steps_left,
            done_by=done_by,
            earliest=None if remaining is None else at + timedelta(seconds=remaining.least),
            latest=None if remaining is None else at + timedelta(seconds=remaining.most),
            status_counts=self._named_counts(tally),
            steps=tuple(self._steps(tally, rates, at, done_by)),
            chunks_in_flight=tally.chunks_in_flight,
            workers=tally.workers,
            nodes=tally.nodes,
        )

    def _named_counts(self, tally: Tally) -> dict[str, dict[str, int]]:
        return {
            each.name: dict(
                zip(each.status_names, tally.status_counts[each.name].shown.tolist(), strict=True)
            )
            for each in self._workflows
        }

    def _steps(
        self, tally: Tally, rates: NDArray[np.float64], at: datetime, done_by: datetime | None
    ) -> Iterator[StepProgress]:
        by_step = dict(zip(tally.steps, rates.tolist(), strict=True))
        for workflow in self._workflows:
            counts = tally.status_counts[workflow.name]
            left = counts.shown @ workflow.graph.leads_to
            for code in sorted(workflow.steps, key=workflow.rank.__getitem__):
                step, entry = workflow.steps[code], tally.steps[workflow.name, code]
                breaker = tally.breakers.get((workflow.name, code))
                yield StepProgress(
                    workflow=workflow.name,
                    step=step.name,
                    from_status=step.from_status.name,
                    to_statuses=tuple(status.name for status in step.to),
                    left=int(left[code]),
                    failed=int(entry.counts[Outcome.FAILED]),
                    skipped=int(entry.counts[Outcome.SKIPPED]),
                    retrying=int(counts.retrying_at(at)[code]),
                    per_second=by_step[workflow.name, code],
                    done_by=done_by if left[code] else at,
                    breaker_open=breaker is not None and not breaker.is_closed,
                )


def _summed(workflow: AnyWorkflow, counts: NDArray[np.int64]) -> tuple[int, int, int]:
    """Return how many runs have finished, how many haven't, and how many steps these need."""
    finished = int(counts[list(workflow.graph.terminal)].sum())
    steps_left = int(counts @ workflow.graph.steps_ahead)
    return finished, int(counts.sum()) - finished, steps_left
