"""Runs that ended their worker before: they never share a worker with others again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


class Suspects:
    """Sets of runs, one for each status at which they ended a worker."""

    def __init__(self, known: pa.Table) -> None:
        """Begin with those in the store: columns ``status``, ``seq``."""
        codes, seqs = (known[name].to_numpy() for name in ("status", "seq"))
        self._seqs = {int(code): np.sort(seqs[codes == code]) for code in np.unique(codes)}

    def add(self, code: int, seqs: np.ndarray) -> None:
        """Take note of runs that ended their worker at a status."""
        self._seqs[code] = np.union1d(self._seqs.get(code, seqs), seqs)

    def contains(self, code: int, seqs: np.ndarray) -> np.ndarray:
        """Tell which runs ended a worker at this status: bool of the same length."""
        known = self._seqs.get(code)
        return np.zeros(len(seqs), np.bool_) if known is None else np.isin(seqs, known)
