"""What a drain has done so far, per step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from batchflow.definition import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchflow.coordinator.standing import Standing
    from batchflow.definition import AnyWorkflow, Step


@dataclass
class StepTally:
    """What one step has done.

    Attributes:
        counts: committed runs by outcome, int64 of shape (len(Outcome),).
        seconds: time in the step's own code, summed over the workers.
        refused: results that were dropped, because their runs were changed by somebody meanwhile.
    """

    workflow: str
    step: str
    from_status: str
    counts: np.ndarray = field(default_factory=lambda: np.zeros(len(Outcome), np.int64))
    seconds: float = 0.0
    refused: int = 0

    @property
    def runs(self) -> int:
        """How many runs the step was executed for."""
        return int(self.counts.sum() - self.counts[Outcome.RETURNED]) + self.refused


class Tally:
    """Adds up, step by step; complete only once the drain has ended.

    Args:
        workflows: whose runs are moved.
        standing: where these are, by workflow.

    Attributes:
        steps: what each step has done, by workflow and status code.
        standing: as given; the coordinator keeps it up.
    """

    def __init__(self, workflows: list[AnyWorkflow], standing: Mapping[str, Standing]) -> None:
        self.steps: dict[tuple[str, int], StepTally] = {
            (workflow.name, code): StepTally(workflow.name, step.name, workflow.statuses[code].name)
            for workflow in workflows
            for code, step in workflow.steps.items()
        }
        self.standing = standing

    def add(self, workflow: AnyWorkflow, step: Step, counts: np.ndarray, seconds: float) -> None:
        """Add a chunk's or a batch's outcomes."""
        entry = self.steps[workflow.name, step.from_code]
        entry.counts += counts
        entry.seconds += seconds

    def add_refused(self, workflow: AnyWorkflow, step: Step, counts: np.ndarray) -> None:
        """Count results that the store refused, by outcome: as refused, and not as that outcome."""
        entry = self.steps[workflow.name, step.from_code]
        entry.counts -= counts
        entry.refused += int(counts.sum())

    def add_returned(self, workflow: AnyWorkflow, step: Step, counts: np.ndarray) -> None:
        """Count results that couldn't be stored, by outcome: as returned, and not as that."""
        entry = self.steps[workflow.name, step.from_code]
        entry.counts -= counts
        entry.counts[Outcome.RETURNED] += counts.sum()

    @property
    def advanced(self) -> int:
        """How many times a step moved a run on."""
        return sum(int(entry.counts[Outcome.ADVANCED]) for entry in self.steps.values())

    @property
    def runs(self) -> int:
        """How many times a step was executed for a run."""
        return sum(entry.runs for entry in self.steps.values())
