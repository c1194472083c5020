"""How much a slice separates the chosen runs from the rest, and whether chance alone would do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

# The probability that a random selection has any line.
_ERROR_RATE: Final = 1e-3
# A slice has at least so many of the chosen runs, and such a share of them.
_LEAST_RUNS: Final = 3
_LEAST_SHARE: Final = 0.01
# Runs within a slice are chosen so much more often than those outside.
LEAST_RISK_RATIO: Final = 1.5


@dataclass(frozen=True)
class Totals:
    """The runs among which slices are searched.

    Attributes:
        chosen: The chosen runs.
        runs: All runs; of a sample, in runs that were sampled as the chosen ones were.
    """

    chosen: float
    runs: float

    @property
    def least_chosen(self) -> float:
        """The least number of chosen runs that a slice has."""
        return max(_LEAST_RUNS, _LEAST_SHARE * self.chosen)

    def scores(self, chosen: np.ndarray, runs: np.ndarray) -> np.ndarray:
        """Return the score of slices with so many chosen runs, of so many runs in all.

        It is the negative logarithm of Hoeffding's bound of the probability that so many of as many
        randomly chosen runs lie in the slice; Chvátal showed it for selections without repetition.
        """
        return divergence(chosen, self.chosen, runs / self.runs)

    def highest_scores(self, chosen: np.ndarray) -> np.ndarray:
        """Return upper bounds of the scores of slices of which only the chosen runs are known."""
        return divergence(chosen, self.chosen, chosen / self.runs)

    def is_risky(self, chosen: np.ndarray, runs: np.ndarray) -> np.ndarray:
        """Return whether the risk ratio of slices is high enough; without a division by zero."""
        outside = (self.chosen - chosen) * runs
        risky: np.ndarray = chosen * (self.runs - runs) >= LEAST_RISK_RATIO * outside
        return risky


def divergence(chosen: np.ndarray, of: np.ndarray | float, share: np.ndarray) -> np.ndarray:
    """Return ``of * KL(chosen / of || share)`` where more are chosen than expected, and else 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.clip(chosen / of, 0.0, 1.0)
        inside = np.where(part > 0, part * np.log(part / share), 0.0)
        outside = np.where(part < 1, (1 - part) * np.log((1 - part) / (1 - share)), 0.0)
        found = of * (inside + outside)
    return np.where((part > share) & np.isfinite(found), found, 0.0)


def significance(
    inside: np.ndarray, runs: np.ndarray, of_chosen: np.ndarray | int, of_runs: np.ndarray | int
) -> np.ndarray:
    """Return the negative logarithm of the probability that chance alone has so many inside.

    Of `of_runs` runs that were sampled, `runs` are in a slice. If those that are chosen were so at
    random, they are a random selection of `of_chosen` of all that were sampled, however often
    either side was. So this is Fisher's exact test, and neither the sample nor its weights make a
    slice seem less likely than it is. The tail is that of a geometric series, which is never less.

    Args:
        inside: The chosen runs in each slice.
        runs: All sampled runs in each slice.
        of_chosen: The chosen runs among which slices are searched.
        of_runs: All sampled runs among which they are.
    """
    logs = _log_factorials(int(np.max(of_runs, initial=0)).bit_length())

    def ways(of: np.ndarray | int, some: np.ndarray | int) -> np.ndarray:
        found: np.ndarray = logs[of] - logs[some] - logs[of - some]
        return found

    outside = of_chosen - inside
    single = ways(runs, inside) + ways(of_runs - runs, outside) - ways(of_runs, of_chosen)
    ratio = (runs - inside) * outside / ((inside + 1) * (of_runs - runs - outside + 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(ratio < 1, np.log1p(-ratio) - single, 0.0)
    return np.maximum(found, 0.0)


@lru_cache
def _log_factorials(bits: int) -> np.ndarray:
    """Return the logarithms of the factorials of all numbers with so many bits."""
    return np.concatenate([[0.0], np.log(np.arange(1, 2**bits)).cumsum()])


def threshold(slices: float) -> float:
    """Return the score that none of so many slices has by chance alone (Bonferroni's correction).

    Slices of one condition and slices of two share the error rate.
    """
    return math.log(2 * max(slices, 1.0) / _ERROR_RATE)
