"""Where the runs of a drain are, kept up with each commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchflow.definition import RunState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchflow.definition import AnyWorkflow, Step
    from batchflow.store import CommitSummary, StepCommit


class Standing:
    """One workflow's; like all counts of the coordinator a hint, until the store is counted anew.

    Attributes:
        runs: how many are at each status, int64 of shape (statuses,): those that wait there or are
            being executed, and at a terminal status those that got there.
        paused: how many were paused since the drain began.
    """

    def __init__(self, workflow: AnyWorkflow) -> None:
        self.runs: NDArray[np.int64] = np.zeros(len(workflow.statuses), np.int64)
        self.paused = 0
        self._with_step = list(workflow.steps)

    @property
    def known(self) -> NDArray[np.int64]:
        """``runs`` without what a load that was counted twice, or too early, left below zero."""
        return np.maximum(self.runs, 0)

    def recounted(self, waiting: NDArray[np.int64]) -> None:
        """Take over how many wait or are being executed at each status."""
        self.runs[self._with_step] = waiting[self._with_step]

    def loaded(self, code: int, runs: int) -> None:
        """Count runs that were triggered."""
        self.runs[code] += runs

    def let_go(self, code: int, runs: int) -> None:
        """Leave out runs that no step looks at any more in this drain."""
        self.runs[code] -= runs

    def stored(self, commit: StepCommit, arrived: NDArray[np.int64]) -> None:
        """Take note of a commit, which brought ``arrived[code]`` runs to each status."""
        self.runs[commit.step.from_code] -= commit.moved.num_rows + commit.held.num_rows
        self.runs += arrived
        self.paused += int((commit.held["#run_state"].to_numpy() == RunState.PAUSED).sum())

    def stored_in_place(self, step: Step, summary: CommitSummary) -> None:
        """Take note of what a step in the store did."""
        self.runs[step.from_code] -= summary.counts.sum()
        np.add.at(self.runs, summary.landed["to"].to_numpy(), summary.landed["rows"].to_numpy())
        self.paused += summary.paused
