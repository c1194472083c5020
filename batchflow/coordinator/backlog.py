"""Where runnable runs wait, as a count for each status and bucket of consecutive runs.

The coordinator looks here and not in the store for what to claim next, so a status at which
nobody waits, and ten million finished runs, cost nothing. A count is a hint: a claim selects from
the store what really stands there.

Runs are looked at in turns. Who advances is looked at again in the same turn; who repeats, moves
backward or newly arrives waits for the next one, which begins when nothing is left in this one. So
a turn always ends, and nobody is looked at twice before all others had their turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchflow.store.schema.layout import BUCKET_BITS

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Span:
    """Consecutive buckets at one status: what one claim takes."""

    code: int
    first_bucket: int
    last_bucket: int

    @property
    def first_seq(self) -> int:
        """The lowest sequence number in it."""
        return self.first_bucket << BUCKET_BITS

    @property
    def last_seq(self) -> int:
        """The highest sequence number in it."""
        return ((self.last_bucket + 1) << BUCKET_BITS) - 1

    @property
    def columns(self) -> slice:
        """Its buckets as a slice of the matrix's columns."""
        return slice(self.first_bucket, self.last_bucket + 1)


class Backlog:
    """The counts of one workflow: matrices of shape (statuses, buckets)."""

    def __init__(self, statuses: int) -> None:
        self._this_turn = np.zeros((statuses, 0), np.int64)
        self._next_turn = np.zeros((statuses, 0), np.int64)
        self._claimed = np.zeros((statuses, 0), np.bool_)

    def replace(self, waiting: pa.Table) -> None:
        """Start anew from what the store counted: columns ``status``, ``bucket``, ``rows``."""
        self._this_turn[:] = 0
        self._next_turn[:] = 0
        codes, buckets, rows = (waiting[name].to_numpy() for name in ("status", "bucket", "rows"))
        self._reach(int(buckets.max(initial=-1)))
        self._this_turn[codes, buckets] = rows

    def add(self, code: int, seqs: np.ndarray, *, next_turn: bool = False) -> None:
        """Count runs that arrived at a status; ``next_turn`` tells whether they wait for that."""
        if not len(seqs):
            return
        counts = np.bincount(seqs >> BUCKET_BITS)
        self._reach(len(counts) - 1)
        matrix = self._next_turn if next_turn else self._this_turn
        matrix[code, : len(counts)] += counts

    def add_counted(self, counted: pa.Table, *, later: np.ndarray) -> None:
        """Count runs that are counted already: columns ``to``, ``bucket``, ``rows``.

        ``later[code]`` tells which statuses wait for the next turn.
        """
        codes, buckets, rows = (counted[name].to_numpy() for name in ("to", "bucket", "rows"))
        self._reach(int(buckets.max(initial=-1)))
        for matrix, chosen in ((self._this_turn, ~later[codes]), (self._next_turn, later[codes])):
            np.add.at(matrix, (codes[chosen], buckets[chosen]), rows[chosen])

    def add_range(self, code: int, first_seq: int, last_seq: int) -> None:
        """Count newly loaded runs with consecutive sequence numbers."""
        first, last = first_seq >> BUCKET_BITS, last_seq >> BUCKET_BITS
        self._reach(last)
        edges = np.arange(first, last + 2) << BUCKET_BITS
        edges[0], edges[-1] = first_seq, last_seq + 1
        self._next_turn[code, first : last + 1] += np.diff(edges)

    def next_span(self, code: int, most_rows: int, least_rows: int = 1) -> Span | None:
        """Find the first claimable buckets of a status that hold about ``most_rows`` runs.

        Answers ``None`` where fewer than ``least_rows`` can be claimed there at once.
        """
        waiting = np.where(self._claimed[code], 0, self._this_turn[code])
        first = int(np.argmax(waiting > 0)) if waiting.any() else -1
        if first < 0:
            return None
        end = self._first_claimed_after(code, first)
        sums = np.cumsum(waiting[first:end])
        if int(sums[-1]) < least_rows:
            return None
        enough = int(np.searchsorted(sums, min(most_rows, int(sums[-1]))))
        # A bucket isn't split, so stop before the one that would exceed the limit.
        over = enough > 0 and int(sums[enough]) > most_rows
        return Span(code, first, first + enough - int(over))

    def claim(self, span: Span) -> int:
        """Mark the buckets as claimed, and answer how many runs were counted in them.

        Nothing more is taken from them until ``release``.
        """
        counted = int(self._this_turn[span.code, span.columns].sum())
        self._this_turn[span.code, span.columns] = 0
        self._claimed[span.code, span.columns] = True
        return counted

    def release(self, span: Span) -> None:
        """Make the buckets claimable again."""
        self._claimed[span.code, span.columns] = False

    def begin_next_turn(self) -> bool:
        """Let those come forward who wait for the next turn; tell whether there were any."""
        if not self._next_turn.any():
            return False
        self._this_turn += self._next_turn
        self._next_turn[:] = 0
        return True

    @property
    def waiting(self) -> np.ndarray:
        """Runs that wait at each status, int64 of shape (statuses,)."""
        counts: np.ndarray = self._this_turn.sum(axis=1) + self._next_turn.sum(axis=1)
        return counts

    def _first_claimed_after(self, code: int, first: int) -> int:
        claimed = self._claimed[code, first:]
        return first + (int(np.argmax(claimed)) if claimed.any() else len(claimed))

    def _reach(self, bucket: int) -> None:
        missing = bucket + 1 - self._this_turn.shape[1]
        if missing > 0:
            # Doubling keeps the copying linear while a load goes on.
            grow = ((0, 0), (0, max(missing, self._this_turn.shape[1])))
            self._this_turn = np.pad(self._this_turn, grow)
            self._next_turn = np.pad(self._next_turn, grow)
            self._claimed = np.pad(self._claimed, grow)
