"""Following a drain, and foreseeing its end from the pace of the last half minute."""

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
    """What had been done at a moment.

    Attributes:
        seconds: the moment, by a clock that never jumps.
        advanced: how many runs each step had advanced.
        executed: how many times a step had been executed for a run.
    """

    seconds: float
    advanced: NDArray[np.int64]
    executed: int


class Forecast:
    """Hears of a drain's commits, and says how far it is.

    One thread tells it, any may ask.

    Args:
        workflows: whose runs are moved.

    Attributes:
        progress: how far the drain under way is; None where there is none.
    """

    def __init__(self, workflows: Sequence[AnyWorkflow]) -> None:
        self._workflows = workflows
        self._samples: deque[_Sample] = deque()
        self._tally: Tally | None = None
        self.progress: Progress | None = None

    def update(self, tally: Tally) -> None:
        """Take note of what has been done; called when a drain begins and after each commit."""
        self.observe(tally, time.monotonic(), datetime.now(UTC).astimezone())

    def forget(self) -> None:
        """Say nothing any more, as the drain has ended."""
        self.progress = None

    def observe(self, tally: Tally, seconds: float, at: datetime) -> None:
        """Take note of what has been done by a moment, also given by a clock that never jumps."""
        idle = self.progress is None or not self.progress.left
        if tally is not self._tally or idle:
            # The pace is that of the work, and not of the time before there was any.
            self._tally = tally
            self._samples.clear()
        steps = list(tally.steps.values())
        advanced = np.array([int(step.counts[Outcome.ADVANCED]) for step in steps], np.int64)
        self._samples.append(_Sample(seconds, advanced, tally.runs))
        while len(self._samples) > 2 and self._samples[0].seconds < seconds - _WINDOW_SECONDS:
            self._samples.popleft()
        self.progress = self._told(tally, steps, at)

    def _told(self, tally: Tally, steps: Sequence[StepTally], at: datetime) -> Progress:
        first, last = self._samples[0], self._samples[-1]
        # What comes within a microsecond tells nothing of the pace.
        elapsed = max(last.seconds - first.seconds, 1e-6)
        paces = (last.advanced - first.advanced) / elapsed
        counts = np.sum([step.counts for step in steps], axis=0)
        finished, left, steps_left = np.sum(
            [_parted(each, tally.standing[each.name].known) for each in self._workflows], axis=0
        ).tolist()
        return Progress(
            at=at,
            finished=finished,
            left=left,
            paused=sum(each.paused for each in tally.standing.values()),
            failed=int(counts[Outcome.FAILED]),
            executed=last.executed,
            per_second=(last.executed - first.executed) / elapsed,
            advanced=int(last.advanced.sum()),
            steps_left=steps_left,
            standing={
                each.name: dict(
                    zip(each.status_names, tally.standing[each.name].known.tolist(), strict=True)
                )
                for each in self._workflows
            },
            steps=tuple(
                step
                for each in self._workflows
                for step in _steps(each, tally, dict(zip(tally.steps, paces, strict=True)), at)
            ),
        )


def _parted(workflow: AnyWorkflow, standing: NDArray[np.int64]) -> tuple[int, int, int]:
    """Return how many runs have finished, haven't, and how many steps those have ahead of them."""
    finished = int(standing[list(workflow.graph.terminal)].sum())
    steps_left = int(standing @ workflow.graph.steps_ahead)
    return finished, int(standing.sum()) - finished, steps_left


def _steps(
    workflow: AnyWorkflow,
    tally: Tally,
    paces: Mapping[tuple[str, int], float],
    at: datetime,
) -> Iterator[StepProgress]:
    left = tally.standing[workflow.name].known @ workflow.graph.leads_to
    for code in sorted(workflow.steps, key=workflow.rank.__getitem__):
        step = workflow.steps[code]
        yield StepProgress(
            workflow=workflow.name,
            step=step.name,
            from_status=step.from_status.name,
            to_statuses=tuple(status.name for status in step.to),
            left=int(left[code]),
            per_second=float(paces[workflow.name, code]),
            at=at,
        )
