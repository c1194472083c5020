"""The slowest runs of a row step in a chunk, if they are slow enough to be of interest."""

from __future__ import annotations

import heapq
from typing import Final

SLOW_SECONDS: Final = 0.001
_MOST: Final = 3
_MOST_KEPT: Final = 100


class SlowestRuns:
    """The slowest calls; several threads may add theirs.

    Args:
        from_code: The code of the status whose step is called.
    """

    def __init__(self, from_code: int) -> None:
        self._from_code = from_code
        self._seconds: list[tuple[float, int]] = []

    def took(self, row: int, seconds: float) -> None:
        """Record how long the call for the run at `row` took."""
        if seconds < SLOW_SECONDS:
            return
        self._seconds.append((seconds, row))
        if len(self._seconds) > _MOST_KEPT:
            self._seconds[:] = heapq.nlargest(_MOST, self._seconds)

    def found(self) -> tuple[tuple[int, int, float], ...]:
        """Return the row, the code of the status and the seconds of each, the slowest first."""
        slowest = heapq.nlargest(_MOST, self._seconds)
        return tuple((row, self._from_code, seconds) for seconds, row in slowest)
