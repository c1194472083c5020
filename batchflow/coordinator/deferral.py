"""Runs that aren't to be looked at for now, though the store would answer with them."""

from __future__ import annotations

import numpy as np

from batchflow.store.schema.layout import BUCKET_BITS

_MASK = (1 << BUCKET_BITS) - 1


class Deferral:
    """A set of (run, version): whoever changes a run lifts its deferral by that alone.

    Kept as one array of versions for each bucket with a deferred run in it: 64 KiB a bucket.
    """

    def __init__(self) -> None:
        self._versions: dict[int, np.ndarray] = {}

    def __bool__(self) -> bool:
        """Tell whether anything is deferred."""
        return bool(self._versions)

    def add(self, seqs: np.ndarray, versions: np.ndarray) -> None:
        """Defer these runs at these versions."""
        for bucket, chosen in _by_bucket(seqs):
            kept = self._versions.setdefault(bucket, np.zeros(_MASK + 1, np.int32))
            kept[seqs[chosen] & _MASK] = versions[chosen]

    def contains(self, seqs: np.ndarray, versions: np.ndarray) -> np.ndarray:
        """Tell which runs are deferred: bool of the same length."""
        deferred = np.zeros(len(seqs), np.bool_)
        for bucket, chosen in _by_bucket(seqs) if self._versions else ():
            kept = self._versions.get(bucket)
            if kept is not None:
                deferred[chosen] = kept[seqs[chosen] & _MASK] == versions[chosen]
        return deferred

    def clear(self) -> None:
        """Defer nobody."""
        self._versions.clear()


def _by_bucket(seqs: np.ndarray) -> list[tuple[int, np.ndarray]]:
    buckets = seqs >> BUCKET_BITS
    return [(int(bucket), np.flatnonzero(buckets == bucket)) for bucket in np.unique(buckets)]
