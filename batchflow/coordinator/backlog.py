"""The number of waiting runs for each status and bucket of consecutive runs.

The coordinator chooses its claims from these counts instead of the store, so a status without
waiting runs, or ten million finished runs, cost nothing. The counts are hints: a claim selects from
the store the runs that are really there.

Runs are executed in turns. A run that advances continues in the same turn. A run that repeats,
moves backward or is new waits for the next turn, which begins when nothing is left in this one. So
a turn always ends, and no run is executed twice at a status before the others had their turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchflow.coordinator.bucket_columns import BucketColumns, NewColumns
from batchflow.store.schema.layout import BUCKET_BITS

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Span:
    """Consecutive buckets at one status, for one claim.

    `reruns` says of which kind its runs are: put back, or not.
    """

    code: int
    first_bucket: int
    last_bucket: int
    reruns: bool = False

    @property
    def first_seq(self) -> int:
        """The lowest seq in it."""
        return self.first_bucket << BUCKET_BITS

    @property
    def last_seq(self) -> int:
        """The highest seq in it."""
        return ((self.last_bucket + 1) << BUCKET_BITS) - 1


class Backlog:
    """The counts of one workflow: matrices of shape (statuses, buckets).

    Args:
        statuses: How many there are.
        reruns: Whether these are the runs that were put back.
    """

    def __init__(self, statuses: int, *, reruns: bool = False) -> None:
        self._reruns = reruns
        self._columns = BucketColumns()
        self._this_turn = np.zeros((statuses, 0), np.int64)
        self._next_turn = np.zeros((statuses, 0), np.int64)
        self._claimed = np.zeros((statuses, 0), np.bool_)

    def replace(self, waiting: pa.Table) -> None:
        """Replace the counts by those of the store: columns ``status``, ``bucket``, ``rows``."""
        self.clear()
        codes, buckets, rows = (waiting[name].to_numpy() for name in ("status", "bucket", "rows"))
        columns = self._columns_of(buckets)
        self._this_turn[codes, columns] = rows

    def clear(self) -> None:
        """Count no runs."""
        self._this_turn[:] = 0
        self._next_turn[:] = 0

    def add(self, code: int, seqs: np.ndarray, *, next_turn: bool = False) -> None:
        """Add runs that arrived at a status, to this turn or to the next."""
        if not len(seqs):
            return
        counts = np.bincount(self._columns_of(seqs >> BUCKET_BITS))
        matrix = self._next_turn if next_turn else self._this_turn
        matrix[code, : len(counts)] += counts

    def move_to(self, other: Backlog, code: int, seqs: np.ndarray) -> None:
        """Count runs of this turn in another backlog, which has counted them already or not."""
        if not len(seqs):
            return
        buckets, counts = np.unique(seqs >> BUCKET_BITS, return_counts=True)
        here, there = self._columns_of(buckets), other._columns_of(buckets)
        self._this_turn[code, here] = np.maximum(self._this_turn[code, here] - counts, 0)
        other._this_turn[code, there] = np.maximum(other._this_turn[code, there], counts)

    def add_counted(self, counted: pa.Table, *, later: np.ndarray) -> None:
        """Add counts of runs: columns ``to``, ``bucket``, ``rows``.

        Those at a status with ``later[code]`` wait for the next turn.
        """
        codes, buckets, rows = (counted[name].to_numpy() for name in ("to", "bucket", "rows"))
        columns = self._columns_of(buckets)
        for matrix, chosen in ((self._this_turn, ~later[codes]), (self._next_turn, later[codes])):
            np.add.at(matrix, (codes[chosen], columns[chosen]), rows[chosen])

    def add_range(self, code: int, first_seq: int, last_seq: int) -> None:
        """Add new runs with consecutive seqs, to the next turn."""
        first, last = first_seq >> BUCKET_BITS, last_seq >> BUCKET_BITS
        columns = self._columns_of(np.arange(first, last + 1))
        edges = np.arange(first, last + 2) << BUCKET_BITS
        edges[0], edges[-1] = first_seq, last_seq + 1
        self._next_turn[code, columns] += np.diff(edges)

    def next_span(self, code: int, most_rows: int, least_rows: int = 1) -> Span | None:
        """Find the first claimable buckets of a status that have about ``most_rows`` runs.

        They are those from which on ``least_rows`` can be claimed at once; None if there are none.
        """
        waiting = self._claimable(code)
        first = _first_of_enough(waiting, self._claimed[code], least_rows)
        if first < 0:
            return None
        # A claim is a range of seqs, in which no gap between slots may be.
        end = min(self._first_claimed_after(code, first), self._columns.end_of_slot(first))
        sums = np.cumsum(waiting[first:end])
        enough = int(np.searchsorted(sums, min(most_rows, int(sums[-1]))))
        # A bucket isn't split, so stop before the one that would exceed the limit.
        over = enough > 0 and int(sums[enough]) > most_rows
        last = first + enough - int(over)
        bucket = self._columns.bucket
        return Span(code, bucket(first), bucket(last), self._reruns)

    def claim(self, span: Span) -> int:
        """Mark the buckets as claimed until `release`; return how many runs they have."""
        columns = self._slice_of(span)
        counted = int(self._this_turn[span.code, columns].sum())
        self._this_turn[span.code, columns] = 0
        self._claimed[span.code, columns] = True
        return counted

    def release(self, span: Span) -> None:
        """Make the buckets claimable again."""
        self._claimed[span.code, self._slice_of(span)] = False

    def begin_next_turn(self) -> bool:
        """Move the runs of the next turn to this one; return whether there were any."""
        if not self._next_turn.any():
            return False
        self._this_turn += self._next_turn
        self._next_turn[:] = 0
        return True

    def claimable(self, code: int) -> int:
        """Return how many runs of a status can be claimed in this turn."""
        return int(self._claimable(code).sum())

    @property
    def waiting(self) -> np.ndarray:
        """The number of runs that wait at each status, int64 of shape (statuses,)."""
        counts: np.ndarray = self._this_turn.sum(axis=1) + self._next_turn.sum(axis=1)
        return counts

    def _claimable(self, code: int) -> np.ndarray:
        return np.where(self._claimed[code], 0, self._this_turn[code])

    def _first_claimed_after(self, code: int, first: int) -> int:
        claimed = self._claimed[code, first:]
        return first + (int(np.argmax(claimed)) if claimed.any() else len(claimed))

    def _slice_of(self, span: Span) -> slice:
        first, last = (
            self._columns.column(span.first_bucket),
            self._columns.column(span.last_bucket),
        )
        return slice(first, last + 1)

    def _columns_of(self, buckets: np.ndarray) -> np.ndarray:
        """Return the columns of buckets, after making room for them."""
        for room in self._columns.make_room(buckets):
            self._this_turn = _with_room(self._this_turn, room)
            self._next_turn = _with_room(self._next_turn, room)
            self._claimed = _with_room(self._claimed, room)
        return self._columns.of(buckets)


def _with_room(matrix: np.ndarray, room: NewColumns) -> np.ndarray:
    added = np.zeros((len(matrix), room.columns), matrix.dtype)
    return np.concatenate([matrix[:, : room.at], added, matrix[:, room.at :]], axis=1)


def _first_of_enough(waiting: np.ndarray, claimed: np.ndarray, least_rows: int) -> int:
    """Return the first bucket with runs of the first stretch that has enough; -1 without one.

    A stretch is what lies between two claimed buckets.
    """
    first = int(np.argmax(waiting > 0)) if waiting.any() else -1
    if first < 0 or least_rows <= 1:
        return first
    stretch = np.cumsum(claimed)
    enough = np.bincount(stretch, weights=waiting) >= least_rows
    in_enough = (waiting > 0) & enough[stretch]
    return int(np.argmax(in_enough)) if in_enough.any() else -1
