"""The time of a step's chunks, fitted to the last ones."""

from __future__ import annotations

import math
from typing import Final

# Earlier measurements count less, the more so the longer a chunk took. Many short chunks, such
# as those of single triggers, therefore don't displace what a long one showed.
_MEMORY_SECONDS: Final = 2.0
_LEAST_KEPT: Final = 0.5
# Below this relative spread of their sizes, chunks don't show what a chunk costs by itself.
_LEAST_SPREAD: Final = 1e-3
_TRUSTED_SPREAD: Final = 0.1


class StepCost:
    """Fits ``seconds = fixed + per_round * rounds`` by least squares, recent chunks first.

    A round is a call, or as many calls as are under way at once: n runs take n / lanes rounds,
    rounded up. So a call that waits for a second isn't mistaken for one that works for a second,
    and a chunk of few runs is as informative as one of many. ``fixed`` is what a chunk costs
    whatever it holds, such as the request of a batch step that sends all runs in one.

    Attributes:
        lanes: The number of runs that a worker executes at once.
        last_rounds: The rounds of the last chunk; 0 before the first.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.last_rounds = 0
        self._weight = 0.0
        self._rounds = 0.0
        self._seconds = 0.0
        self._squares = 0.0
        self._products = 0.0

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from a chunk of which this many runs, 1 or more, were executed."""
        self.last_rounds = rounds = -(-rows // self.lanes)
        kept = max(_LEAST_KEPT, math.exp(-seconds / _MEMORY_SECONDS))
        self._weight = kept * self._weight + 1.0
        self._rounds = kept * self._rounds + rounds
        self._seconds = kept * self._seconds + seconds
        self._squares = kept * self._squares + rounds * rounds
        self._products = kept * self._products + rounds * seconds

    @property
    def seconds_per_round(self) -> float | None:
        """The mean seconds of a round, its part of a chunk's fixed time included; None: unknown."""
        if not self._rounds:
            return None
        return max(self._seconds / self._rounds, 1e-9)

    @property
    def is_spread(self) -> bool:
        """Whether the chunks were of so different sizes that the fit can be trusted."""
        return self._variance > _TRUSTED_SPREAD * (self._rounds / self._weight) ** 2

    @property
    def most_fixed(self) -> float:
        """The fixed seconds of a chunk; all of its seconds as long as the chunks were alike."""
        if not self._rounds:
            return 0.0
        return self.fit[0] if self.is_spread else self._seconds / self._weight

    @property
    def _variance(self) -> float:
        return self._squares / self._weight - (self._rounds / self._weight) ** 2

    @property
    def fit(self) -> tuple[float, float]:
        """The fixed seconds of a chunk, and the seconds of each round; needs an observation."""
        mean = self._seconds / self._rounds
        variance = self._variance
        if variance <= _LEAST_SPREAD * self._squares / self._weight:
            return 0.0, max(mean, 1e-9)
        products = self._products / self._weight
        covariance = products - self._rounds * self._seconds / self._weight**2
        slope = min(max(covariance / variance, 1e-9), mean)
        return max(0.0, (self._seconds - slope * self._rounds) / self._weight), slope
