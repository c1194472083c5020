"""The number of runs at each status during a drain, changed with each commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from batchflow.definition import Outcome

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from batchflow.definition import AnyWorkflow
    from batchflow.store import BacklogCounts, SqlStepResult, StepCommit

# By default a run has ten.
ATTEMPTS: Final = 10


class StatusCounts:
    """The counts of one workflow. They are hints until the runs are counted again in the store.

    Attributes:
        runs: The number of runs at each status, int64 of shape (statuses,): those that wait or are
            being executed there, and at a terminal status those that reached it in this drain.
        paused: The number of runs that were paused since the drain began.
        retrying: The number of runs at each status that wait for a retry, which isn't due yet.
        next_retry_at: The time at which the first of them is due; None without one.
        last_retry_at: The time at which the last of them is due.
        executed: How often a step was executed for a run at each status since the drain began.
        moved: How many of these executions moved the run from one status to another, int64 of
            shape (statuses, statuses), indexed [from, to].
        retried: How many of them failed, so that the run is tried again.
        by_attempt: `executed` by attempt, int64 of shape (statuses, ATTEMPTS); the last column has
            all later attempts.
        retried_by_attempt: `retried` by attempt, likewise.
    """

    def __init__(self, workflow: AnyWorkflow) -> None:
        self.runs: NDArray[np.int64] = np.zeros(len(workflow.statuses), np.int64)
        self.paused = 0
        self.retrying = np.zeros_like(self.runs)
        self.next_retry_at: datetime | None = None
        self.last_retry_at: datetime | None = None
        self.executed = np.zeros_like(self.runs)
        self.moved = np.zeros((len(self.runs), len(self.runs)), np.int64)
        self.retried = np.zeros_like(self.runs)
        self.by_attempt = np.zeros((len(self.runs), ATTEMPTS), np.int64)
        self.retried_by_attempt = np.zeros_like(self.by_attempt)
        self._with_step = list(workflow.steps)

    @property
    def shown(self) -> NDArray[np.int64]:
        """`runs`, but 0 instead of less; a load that was counted too early or twice leaves that."""
        return np.maximum(self.runs, 0)

    def retrying_at(self, moment: datetime) -> NDArray[np.int64]:
        """Return `retrying`, but 0 once even the last of them is due."""
        ended = self.last_retry_at is not None and self.last_retry_at <= moment
        return np.zeros_like(self.retrying) if ended else self.retrying

    def next_retry_after(self, moment: datetime) -> datetime | None:
        """Return when the next retry is due; None if it isn't known, or there is none.

        Runs whose retry was due by then are being executed; the others are counted again later.
        """
        if self.next_retry_at is None or not self.retrying_at(moment).any():
            return None
        return self.next_retry_at if self.next_retry_at > moment else None

    def replace_waiting(self, waiting: NDArray[np.int64], counted: BacklogCounts) -> None:
        """Replace the number of runs that wait or are being executed, and of those to retry."""
        self.runs[self._with_step] = waiting[self._with_step]
        self.retrying[:] = 0
        codes, rows = (counted.retrying[name].to_numpy() for name in ("status", "rows"))
        np.add.at(self.retrying, codes, rows)
        self.next_retry_at = counted.next_attempt_at
        self.last_retry_at = counted.last_attempt_at

    def add_loaded(self, code: int, runs: int) -> None:
        """Add new runs."""
        self.runs[code] += runs

    def reopen(self, codes: NDArray[np.uint8]) -> None:
        """Take back runs that had reached a terminal status, given by its code for each run."""
        self.runs -= np.bincount(codes, minlength=len(self.runs))

    def remove(self, code: int, runs: int) -> None:
        """Remove runs that no step is executed for any more in this drain."""
        self.runs[code] -= runs
        self.executed[code] += runs

    def add_commit(self, commit: StepCommit) -> None:
        """Apply a commit."""
        code, moves, unmoved = commit.step.from_code, commit.moves, commit.unmoved
        moved = _counted_pairs(moves["#from"], moves["#to"], self.moved.shape)
        executed = moved.sum(axis=1)
        executed[code] += unmoved.num_rows
        self.runs += moved.sum(axis=0) - executed
        self.paused += commit.paused
        self.executed += executed
        self.moved += moved
        self.by_attempt += _by_attempt(moves["#from"], moves["#attempt"], self.by_attempt.shape)
        self.by_attempt[code] += _counted(unmoved["#attempt"].to_numpy())
        self.retried_by_attempt[code] += _counted(commit.retried_attempts)
        self._add_retries(
            code, len(commit.retried_attempts), commit.next_attempt_at, commit.last_attempt_at
        )

    def add_sql_step(self, result: SqlStepResult) -> None:
        """Apply the result of a step that was executed in the store."""
        step, moved = result.step, result.moved_counts
        self.runs[step.from_code] -= result.runs
        np.add.at(self.runs, moved["to"].to_numpy(), moved["rows"].to_numpy())
        self.paused += result.paused
        self.executed[step.from_code] += result.runs
        np.add.at(self.moved[step.from_code], moved["to"].to_numpy(), moved["rows"].to_numpy())
        retried = int(result.counts[Outcome.FAILED]) - result.paused
        moment = result.next_attempt_at
        self._add_retries(step.from_code, max(0, retried), moment, moment)

    def _add_retries(
        self, code: int, runs: int, first: datetime | None, last: datetime | None
    ) -> None:
        if first is None or last is None:
            return
        self.retrying[code] += runs
        self.retried[code] += runs
        self.next_retry_at = min(first, self.next_retry_at or first)
        self.last_retry_at = max(last, self.last_retry_at or last)


def _counted(attempts: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.bincount(np.clip(attempts, 1, ATTEMPTS) - 1, minlength=ATTEMPTS)


def _by_attempt(
    codes: pa.ChunkedArray, attempts: pa.ChunkedArray, shape: tuple[int, int]
) -> NDArray[np.int64]:
    columns = pa.chunked_array([np.clip(attempts.to_numpy(), 1, ATTEMPTS) - 1])
    return _counted_pairs(codes, columns, shape)


def _counted_pairs(
    rows: pa.ChunkedArray, columns: pa.ChunkedArray, shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Count how often each pair of a row and a column occurs: int64 of the shape."""
    places = rows.to_numpy().astype(np.int64) * shape[1] + columns.to_numpy()
    counts: NDArray[np.int64] = np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape)
    return counts
