"""Sorted seqs as a set of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def contained(known: NDArray[np.int64], seqs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which seqs are among the known ones, which are sorted: bool of the same length."""
    if not len(known):
        return np.zeros(len(seqs), np.bool_)
    # Few are known, and they are sorted: a tenth of the time of `np.isin`.
    places = np.minimum(np.searchsorted(known, seqs), len(known) - 1)
    found: NDArray[np.bool_] = known[places] == seqs
    return found
