"""The result of a SQL step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.definition.outcome import Outcome
from batchflow.definition.step import Step
from batchflow.store.runs.step_commit import StepCommit
from batchflow.store.schema.layout import BUCKET_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOVED_COUNTS_SCHEMA = pa.schema([("to", pa.uint8()), ("bucket", pa.int64()), ("rows", pa.int64())])


@dataclass(frozen=True, eq=False)
class SqlStepResult:
    """The effect of a SQL step on the runs of one span.

    Attributes:
        step: The step.
        counts: The runs by outcome, int64 of shape (len(Outcome),).
        moved_counts: The number of runs that moved to each status: ``to`` (uint8), ``bucket``
            (int64), ``rows`` (int64). A pair of status and bucket may have several rows: to group
            them, PyArrow would import Acero, which takes as long as the rest of a small drain.
        arrived_counts: The same of those that no further step of the same transaction moved.
        paused: The number of runs that a failure paused.
        next_attempt_at: The time at which the first of the other failed runs is due again.
    """

    step: Step
    counts: NDArray[np.int64]
    moved_counts: pa.Table
    arrived_counts: pa.Table
    paused: int = 0
    next_attempt_at: datetime | None = None

    @property
    def runs(self) -> int:
        """Return the number of runs that were changed."""
        return int(self.counts.sum())


def counted_moves(counted: Iterable[tuple[int, int, int]]) -> pa.Table:
    """Return the number of moved runs by status and bucket, given as rows in this order."""
    rows = [dict(zip(MOVED_COUNTS_SCHEMA.names, row, strict=True)) for row in counted]
    return pa.Table.from_pylist(rows, schema=MOVED_COUNTS_SCHEMA)


def all_moved(
    step: Step, moved_counts: pa.Table, arrived_counts: pa.Table | None = None
) -> SqlStepResult:
    """Return the result of a step whose runs all moved."""
    counts = np.zeros(len(Outcome), np.int64)
    counts[Outcome.ADVANCED] = pc.sum(moved_counts["rows"]).as_py() or 0
    arrived = moved_counts if arrived_counts is None else arrived_counts
    return SqlStepResult(step, counts, moved_counts, arrived)


def result_of(commit: StepCommit) -> SqlStepResult:
    """Return the result of a step whose runs moved or failed one by one."""
    counts = np.zeros(len(Outcome), np.int64)
    counts[Outcome.ADVANCED] = commit.moved.num_rows
    counts[Outcome.FAILED] = commit.unmoved.num_rows
    moved_counts = _moved_counts(commit.moved)
    return SqlStepResult(
        step=commit.step,
        counts=counts,
        moved_counts=moved_counts,
        arrived_counts=moved_counts,
        paused=commit.paused,
        next_attempt_at=commit.next_attempt_at,
    )


def _moved_counts(moved: pa.Table) -> pa.Table:
    buckets = pc.shift_right(moved["#seq"], pa.scalar(BUCKET_BITS, pa.int64()))
    ones = np.ones(moved.num_rows, np.int64)
    counts = pa.table([moved["#to"], buckets, ones], MOVED_COUNTS_SCHEMA.names)
    return counts.cast(MOVED_COUNTS_SCHEMA)
