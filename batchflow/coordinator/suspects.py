"""Runs that ended their worker before; they never share a worker with others again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchflow.coordinator.sorted_seqs import contained

if TYPE_CHECKING:
    import pyarrow as pa

_NONE = np.zeros(0, np.int64)


class Suspects:
    """The runs that ended a worker, by the status at which they did."""

    def __init__(self, known: pa.Table) -> None:
        """Begin with the runs known to the store: columns ``status``, ``seq``."""
        codes, seqs = (known[name].to_numpy() for name in ("status", "seq"))
        self._seqs = {int(code): np.sort(seqs[codes == code]) for code in np.unique(codes)}

    def add(self, code: int, seqs: np.ndarray) -> None:
        """Add runs that ended their worker at a status."""
        self._seqs[code] = np.union1d(self._seqs.get(code, seqs), seqs)

    def contains(self, code: int, seqs: np.ndarray) -> np.ndarray:
        """Return which runs ended a worker at this status: bool of the same length."""
        return contained(self._seqs.get(code, _NONE), seqs)
