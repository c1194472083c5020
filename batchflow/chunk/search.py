"""Find the run that crashes its worker with few crashes and few calls of the step.

This is the egg-dropping search: a crash of the worker is a broken egg, and a call of the step is a
drop. It takes place in an isolated worker.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

# A crash costs as much as so many calls of a step that takes no time by itself.
_CALLS_PER_CRASH = 40


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the runs of a chunk that crash their worker.

    c calls and d crashes find one run among binomial(c, d). The first call is for
    binomial(c - 1, d - 1) runs. If the worker crashes, these are searched with one crash less; if
    it doesn't, the others are searched with one call less. So the parts become smaller, and are
    single runs if d is 1.

    Attributes:
        rows: The number of runs, from the first one on, among which one crashed a worker.
        crashes: The number of crashes that may be spent to find that run. The step is called for
            the runs after these in parts that double, starting with one run.
    """

    rows: int
    crashes: int

    @classmethod
    def among(cls, rows: int, calls_per_crash: int = _CALLS_PER_CRASH) -> Search:
        """Return the cheapest search on average, if a crash costs as much as so many calls."""

        def cost(crashes: int) -> float:
            return calls_among(rows, crashes) / 2 + crashes * calls_per_crash

        crashes = 1
        while rows > 1 and cost(crashes + 1) < cost(crashes):
            crashes += 1
        return cls(rows, crashes)

    def within(self, start: int, stop: int) -> Search:
        """Return the search within a part whose call crashed the worker."""
        if start < self.rows:
            return Search(stop - start, max(1, self.crashes - 1))
        return Search.among(stop - start)

    def after(self, rows: int) -> Search:
        """Return the search after the `rows` runs that a worker got through in its time.

        That time is about what a crash costs, so these calls show how many of them it is worth.
        """
        left = max(0, self.rows - rows)
        if not left:
            return Search(0, self.crashes)
        calls = sum(1 for _, stop in self.parts(self.rows) if stop <= rows)
        return Search.among(left, min(_CALLS_PER_CRASH, max(1, calls)))

    def parts(self, rows: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of a chunk of `rows` runs: the first row, and the row after the last."""
        start, searched = 0, min(self.rows, rows)
        left = calls_among(searched, self.crashes) if searched else 0
        while start < searched:
            left -= 1
            stop = min(searched, start + math.comb(left, self.crashes - 1))
            yield start, stop
            start = stop
        size = 1
        while start < rows:
            stop = min(rows, start + size)
            yield start, stop
            start, size = stop, 2 * size


def calls_among(rows: int, crashes: int) -> int:
    """Return the most calls that it takes to find one of `rows` runs with so many crashes."""
    if crashes == 1:
        return rows
    # binomial(c, d) is at most c ** d / d!, which gives the first candidate.
    calls = max(crashes, int((rows * math.factorial(crashes)) ** (1 / crashes)))
    while math.comb(calls, crashes) < rows:
        calls += 1
    return calls
