"""A forecast of a drain's end, from its rate over the last half minute."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.coordinator.progress import Progress, StepProgress
from batchflow.definition import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from batchflow.coordinator.tally import StepTally, Tally
    from batchflow.definition import AnyWorkflow

_WINDOW_SECONDS: Final = 30.0


@dataclass(frozen=True)
class _Sample:
    """The work done by a moment.

    Attributes:
        seconds: The moment, by a clock that never jumps.
        advanced: How many runs each step had advanced.
        executed: How many times a step had been executed for a run.
    """

    seconds: float
    advanced: NDArray[np.int64]
    executed: int


class Forecast:
    """Follows a drain's commits, and forecasts its end.

    One thread updates it; any thread may read `progress`.

    Attributes:
        progress: The progress of the drain under way; None without one.
    """

    def __init__(self, workflows: Sequence[AnyWorkflow]) -> None:
        self._workflows = workflows
        self._samples: deque[_Sample] = deque()
        self._tally: Tally | None = None
        self.progress: Progress | None = None

    def update(self, tally: Tally) -> None:
        """Update the progress; called when a drain begins and after each commit."""
        self.observe(tally, time.monotonic(), datetime.now(UTC).astimezone())

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
        steps = list(tally.steps.values())
        advanced = np.array([int(step.counts[Outcome.ADVANCED]) for step in steps], np.int64)
        self._samples.append(_Sample(seconds, advanced, tally.runs))
        while len(self._samples) > 2 and self._samples[0].seconds < seconds - _WINDOW_SECONDS:
            self._samples.popleft()
        self.progress = self._progress(tally, steps, at)

    def _progress(self, tally: Tally, steps: Sequence[StepTally], at: datetime) -> Progress:
        first, last = self._samples[0], self._samples[-1]
        # Samples within a microsecond say nothing about the rate.
        elapsed = max(last.seconds - first.seconds, 1e-6)
        rates = (last.advanced - first.advanced) / elapsed
        counts = np.sum([step.counts for step in steps], axis=0)
        finished, left, steps_left = np.sum(
            [_summed(each, tally.status_counts[each.name].shown) for each in self._workflows],
            axis=0,
        ).tolist()
        return Progress(
            at=at,
            finished=finished,
            left=left,
            paused=sum(each.paused for each in tally.status_counts.values()),
            failed=int(counts[Outcome.FAILED]),
            executed=last.executed,
            per_second=(last.executed - first.executed) / elapsed,
            advanced=int(last.advanced.sum()),
            steps_left=steps_left,
            status_counts={
                each.name: dict(
                    zip(
                        each.status_names,
                        tally.status_counts[each.name].shown.tolist(),
                        strict=True,
                    )
                )
                for each in self._workflows
            },
            steps=tuple(
                step
                for each in self._workflows
                for step in _steps(each, tally, dict(zip(tally.steps, rates, strict=True)), at)
            ),
        )


def _summed(workflow: AnyWorkflow, counts: NDArray[np.int64]) -> tuple[int, int, int]:
    """Return how many runs have finished, how many haven't, and how many steps these need."""
    finished = int(counts[list(workflow.graph.terminal)].sum())
    steps_left = int(counts @ workflow.graph.steps_ahead)
    return finished, int(counts.sum()) - finished, steps_left


def _steps(
    workflow: AnyWorkflow,
    tally: Tally,
    rates: Mapping[tuple[str, int], float],
    at: datetime,
) -> Iterator[StepProgress]:
    left = tally.status_counts[workflow.name].shown @ workflow.graph.leads_to
    for code in sorted(workflow.steps, key=workflow.rank.__getitem__):
        step = workflow.steps[code]
        yield StepProgress(
            workflow=workflow.name,
            step=step.name,
            from_status=step.from_status.name,
            to_statuses=tuple(status.name for status in step.to),
            left=int(left[code]),
            per_second=float(rates[workflow.name, code]),
            at=at,
        )
