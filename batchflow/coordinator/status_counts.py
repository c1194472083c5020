"""The number of runs at each status during a drain, changed with each commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchflow.definition import AnyWorkflow, Step
    from batchflow.store import SqlStepResult, StepCommit


class StatusCounts:
    """The counts of one workflow. They are hints until the runs are counted again in the store.

    Attributes:
        runs: The number of runs at each status, int64 of shape (statuses,): those that wait or are
            being executed there, and at a terminal status those that reached it in this drain.
        paused: The number of runs that were paused since the drain began.
    """

    def __init__(self, workflow: AnyWorkflow) -> None:
        self.runs: NDArray[np.int64] = np.zeros(len(workflow.statuses), np.int64)
        self.paused = 0
        self._with_step = list(workflow.steps)

    @property
    def shown(self) -> NDArray[np.int64]:
        """`runs`, but 0 instead of less; a load that was counted too early or twice leaves that."""
        return np.maximum(self.runs, 0)

    def replace_waiting(self, waiting: NDArray[np.int64]) -> None:
        """Replace the number of runs that wait or are being executed at each status."""
        self.runs[self._with_step] = waiting[self._with_step]

    def add_loaded(self, code: int, runs: int) -> None:
        """Add new runs."""
        self.runs[code] += runs

    def remove(self, code: int, runs: int) -> None:
        """Remove runs that no step is executed for any more in this drain."""
        self.runs[code] -= runs

    def add_commit(self, commit: StepCommit, arrived: NDArray[np.int64]) -> None:
        """Apply a commit that moved ``arrived[code]`` runs to each status."""
        self.runs[commit.step.from_code] -= commit.num_rows
        self.runs += arrived
        self.paused += commit.paused

    def add_sql_step(self, step: Step, result: SqlStepResult) -> None:
        """Apply the result of a step that was executed in the store."""
        moved = result.moved_counts
        self.runs[step.from_code] -= result.runs
        np.add.at(self.runs, moved["to"].to_numpy(), moved["rows"].to_numpy())
        self.paused += result.paused
