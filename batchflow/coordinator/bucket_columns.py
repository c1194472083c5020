"""The columns of a matrix for buckets of runs, which may be in few ranges far from each other.

The runs of an ordinary store have consecutive seqs from 0 on. Those of a shard begin at the slot of
the shard, and a shard that was made of others has runs in the slots of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.store.schema.layout import BUCKET_BITS, SLOT_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SLOT_BUCKET_BITS: Final = SLOT_BITS - BUCKET_BITS


@dataclass(frozen=True)
class NewColumns:
    """Columns that a matrix needs more.

    Attributes:
        at: The column before which they are inserted.
        columns: Their number.
    """

    at: int
    columns: int


class BucketColumns:
    """Which bucket has which column: ascending, and without the gaps between the slots."""

    def __init__(self) -> None:
        self._slots: NDArray[np.int64] = np.zeros(1, np.int64)
        self._widths: NDArray[np.int64] = np.zeros(1, np.int64)
        self._starts: NDArray[np.int64] = np.zeros(1, np.int64)

    def make_room(self, buckets: NDArray[np.int64]) -> list[NewColumns]:
        """Provide columns for these buckets; return where columns have to be inserted, in turn."""
        if not len(buckets):
            return []
        first, last = int(buckets.min()), int(buckets.max())
        first_slot, last_slot = first >> _SLOT_BUCKET_BITS, last >> _SLOT_BUCKET_BITS
        if first_slot == last_slot:
            return self._widen(first_slot, last)
        slots = buckets >> _SLOT_BUCKET_BITS
        largest = ((int(slot), int(buckets[slots == slot].max())) for slot in np.unique(slots))
        return [room for slot, bucket in largest for room in self._widen(slot, bucket)]

    def of(self, buckets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the columns of buckets that have one."""
        if len(self._slots) == 1:
            return buckets - (int(self._slots[0]) << _SLOT_BUCKET_BITS)
        slots = buckets >> _SLOT_BUCKET_BITS
        at = np.searchsorted(self._slots, slots)
        columns: NDArray[np.int64] = buckets - (slots << _SLOT_BUCKET_BITS) + self._starts[at]
        return columns

    def column(self, bucket: int) -> int:
        """Return the column of one bucket."""
        return int(self.of(np.array([bucket]))[0])

    def bucket(self, column: int) -> int:
        """Return the bucket that has a column."""
        at = int(np.searchsorted(self._starts, column, side="right")) - 1
        within = column - int(self._starts[at])
        return (int(self._slots[at]) << _SLOT_BUCKET_BITS) + within

    def end_of_slot(self, column: int) -> int:
        """Return the first column after those of the slot that a column is in."""
        at = int(np.searchsorted(self._starts, column, side="right")) - 1
        return int(self._starts[at] + self._widths[at])

    def _widen(self, slot: int, bucket: int) -> list[NewColumns]:
        at = self._place_of(slot)
        wanted = bucket - (slot << _SLOT_BUCKET_BITS) + 1
        width = int(self._widths[at])
        if wanted <= width:
            return []
        # Doubling keeps the cost of copying linear during a load.
        more = max(wanted - width, width)
        end = int(self._starts[at]) + width
        self._widths[at] += more
        self._starts = np.concatenate([[0], np.cumsum(self._widths)[:-1]])
        return [NewColumns(end, more)]

    def _place_of(self, slot: int) -> int:
        """Return the place of a slot among the known ones, of which it is one afterwards."""
        if not self._widths.any():
            self._slots[0] = slot
        at = int(np.searchsorted(self._slots, slot))
        if at == len(self._slots) or self._slots[at] != slot:
            self._slots = np.insert(self._slots, at, slot)
            self._widths = np.insert(self._widths, at, 0)
            self._starts = np.concatenate([[0], np.cumsum(self._widths)[:-1]])
        return at
