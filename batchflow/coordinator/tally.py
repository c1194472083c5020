"""The work of a drain so far, by step."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from batchflow.definition import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from batchflow.coordinator.breaker import Breaker
    from batchflow.coordinator.calls import UnfinishedCall
    from batchflow.coordinator.status_counts import StatusCounts
    from batchflow.definition import AnyWorkflow, Step


class Ending(enum.Enum):
    """Why a drain ended."""

    IDLE = "nothing was left to execute"
    LIMIT = "the limit was reached"
    UNTIL = "the time given as until was reached"
    STOPPED = "a stop was requested"
    BREAKER = "the runs that were left wait for steps whose breakers are open"


@dataclass
class StepTally:
    """The work of one step.

    Attributes:
        counts: The committed runs by outcome, int64 of shape (len(Outcome),).
        seconds: The time in the step's code, summed over the workers.
        refused: The number of results that were dropped because their runs had changed since.
        chunks: The number of chunks, or of parts of the runs that the store executed it for.
    """

    workflow: str
    step: str
    from_status: str
    counts: np.ndarray = field(default_factory=lambda: np.zeros(len(Outcome), np.int64))
    seconds: float = 0.0
    refused: int = 0
    chunks: int = 0

    @property
    def runs(self) -> int:
        """The number of runs for which the step was executed."""
        return int(self.counts.sum() - self.counts[Outcome.RETURNED]) + self.refused


class Tally:
    """The work of a drain; complete when the drain has ended.

    Attributes:
        steps: The work of each step, by workflow and status code.
        status_counts: The number of runs at each status, by workflow; it changes with each commit.
        ending: Why the drain ended.
        unfinished_calls: The calls of steps that hadn't returned when the drain ended.
        failures_since: The time of the earliest commit that stored a failure; None without one.
        workers: The number of workers.
        nodes: The number of machines that have them; None if that is always this one.
        awaits_retries: Whether the drain waits for runs that are due for a retry later.
        breakers: The breakers of the steps that have one, by workflow and status code.
        left_by_breakers: How many runs waited for those that weren't closed when the drain ended.
    """

    def __init__(
        self, workflows: Sequence[AnyWorkflow], status_counts: Mapping[str, StatusCounts]
    ) -> None:
        self.steps: dict[tuple[str, int], StepTally] = {
            (workflow.name, code): StepTally(workflow.name, step.name, workflow.statuses[code].name)
            for workflow in workflows
            for code, step in workflow.steps.items()
        }
        self.status_counts = status_counts
        self.ending = Ending.IDLE
        self.unfinished_calls: Sequence[UnfinishedCall] = ()
        self.failures_since: datetime | None = None
        self.workers = 1
        self.nodes: int | None = None
        self.chunks_in_flight = 0
        self.awaits_retries = False
        self.breakers: Mapping[tuple[str, int], Breaker] = {}
        self.left_by_breakers: Mapping[tuple[str, int], int] = {}

    def add(self, workflow: AnyWorkflow, step: Step, counts: np.ndarray, seconds: float) -> None:
        """Add the outcomes of a chunk or a span."""
        entry = self.steps[workflow.name, step.from_code]
        entry.counts += counts
        entry.seconds += seconds
        entry.chunks += 1

    def correct(self, workflow: AnyWorkflow, step: Step, counts: np.ndarray) -> None:
        """Add to the outcomes of results that were counted already, or subtract from them."""
        self.steps[workflow.name, step.from_code].counts += counts

    def add_refused(self, workflow: AnyWorkflow, step: Step, counts: np.ndarray) -> None:
        """Count results as refused instead of by their outcomes, given as counts by outcome."""
        entry = self.steps[workflow.name, step.from_code]
        entry.counts -= counts
        entry.refused += int(counts.sum())

    def add_returned(self, workflow: AnyWorkflow, step: Step, counts: np.ndarray) -> None:
        """Count results as returned instead of by their outcomes, given as counts by outcome."""
        entry = self.steps[workflow.name, step.from_code]
        entry.counts -= counts
        entry.counts[Outcome.RETURNED] += counts.sum()

    def note_failures(self, at: datetime) -> None:
        """Record that failures were stored by a commit of this time."""
        # The earliest, because the clock may be set back between two commits.
        self.failures_since = min(at, self.failures_since or at)

    @property
    def paused(self) -> int:
        """The number of runs that were paused by their step or by a failure."""
        return sum(counts.paused for counts in self.status_counts.values())

    @property
    def advanced(self) -> int:
        """How many times a step advanced a run."""
        return self.count(Outcome.ADVANCED)

    def count(self, outcome: Outcome) -> int:
        """Return how many times a step had an outcome for a run."""
        return sum(int(entry.counts[outcome]) for entry in self.steps.values())

    @property
    def runs(self) -> int:
        """How many times a step was executed for a run."""
        return sum(entry.runs for entry in self.steps.values())
