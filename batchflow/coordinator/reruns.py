"""The runs that were put back and aren't finished yet, which have claims of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchflow.coordinator.sorted_seqs import contained

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Reruns:
    """The re-runs of one workflow, by seq.

    A run changes its kind only while it isn't claimed, so that no two claims can have it.
    """

    def __init__(self) -> None:
        self._seqs: NDArray[np.int64] = np.zeros(0, np.int64)

    def replace(self, seqs: NDArray[np.int64], claimed: NDArray[np.int64]) -> None:
        """Replace them by those of the store; claimed runs stay what they were."""
        unclaimed = seqs[~np.isin(seqs, claimed)]
        self._seqs = np.union1d(unclaimed, self._seqs[np.isin(self._seqs, claimed)])

    def contain(self, seqs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which runs are among them: bool of the same length."""
        return contained(self._seqs, seqs)
