"""Runs that aren't executed for now, although the store returns them."""

from __future__ import annotations

import numpy as np

from batchflow.store.schema.layout import BUCKET_BITS

_MASK = (1 << BUCKET_BITS) - 1


class Deferral:
    """A set of (run, version), so that any change of a run ends its deferral.

    It has one array of versions for each bucket with a deferred run: 64 KiB per bucket.
    """

    def __init__(self) -> None:
        self._versions: dict[int, np.ndarray] = {}

    def __bool__(self) -> bool:
        """Return whether any run is deferred."""
        return bool(self._versions)

    def add(self, seqs: np.ndarray, versions: np.ndarray) -> None:
        """Defer these runs at these versions."""
        for bucket, chosen in _by_bucket(seqs):
            kept = self._versions.setdefault(bucket, np.zeros(_MASK + 1, np.int32))
            kept[seqs[chosen] & _MASK] = versions[chosen]

    def contains(self, seqs: np.ndarray, versions: np.ndarray) -> np.ndarray:
        """Return which runs are deferred: bool of the same length."""
        deferred = np.zeros(len(seqs), np.bool_)
        for bucket, chosen in _by_bucket(seqs) if self._versions else ():
            kept = self._versions.get(bucket)
            if kept is not None:
                deferred[chosen] = kept[seqs[chosen] & _MASK] == versions[chosen]
        return deferred

    def clear(self) -> None:
        """Remove all runs."""
        self._versions.clear()


def _by_bucket(seqs: np.ndarray) -> list[tuple[int, np.ndarray]]:
    buckets = seqs >> BUCKET_BITS
    return [(int(bucket), np.flatnonzero(buckets == bucket)) for bucket in np.unique(buckets)]
