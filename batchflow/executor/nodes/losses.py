"""The runs whose nodes disappeared, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from batchflow.chunk.chunk import SEQ
from batchflow.columns.arrays import one_array

if TYPE_CHECKING:
    from batchflow.chunk import Chunk

MOST_LOSSES: Final = 3
"""A run whose node disappeared as often may have caused it."""


class Losses:
    """Counts for each run how often the node that had it disappeared."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = {}

    def add(self, chunk: Chunk) -> int:
        """Count a loss of each run of a chunk; return the most that one of them has now."""
        seqs, counts = self._counts.get(chunk.workflow, _NONE)
        every = np.concatenate([seqs, _seqs(chunk)])
        weights = np.concatenate([counts, np.ones(chunk.num_rows, np.int64)])
        kept, places = np.unique(every, return_inverse=True)
        totals = np.bincount(places, weights).astype(np.int64)
        self._counts[chunk.workflow] = kept, totals
        return int(totals[np.isin(kept, _seqs(chunk))].max(initial=0))

    def forget(self, chunk: Chunk) -> None:
        """Count no losses of a chunk's runs any more, because a node returned them."""
        if chunk.workflow not in self._counts:
            return
        seqs, counts = self._counts[chunk.workflow]
        stays = ~np.isin(seqs, _seqs(chunk))
        if stays.any():
            self._counts[chunk.workflow] = seqs[stays], counts[stays]
        else:
            del self._counts[chunk.workflow]


_NONE: Final = np.zeros(0, np.int64), np.zeros(0, np.int64)


def _seqs(chunk: Chunk) -> npt.NDArray[np.int64]:
    seqs: npt.NDArray[np.int64] = one_array(chunk.rows[SEQ]).to_numpy()
    return seqs
