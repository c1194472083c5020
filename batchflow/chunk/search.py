"""In which parts a worker apart calls a step, so that its end tells who ended it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

# Calls are cheap and processes dear, so as few of these are spent as so many calls allow.
_CALLS_PER_BIT = 4


@dataclass(frozen=True, slots=True)
class Search:
    """Look for the runs of a chunk that end their worker.

    With c calls and d ends of a worker one run is found among binomial(c, d): by a first part of
    binomial(c - 1, d - 1), which is searched with one end less if the worker ends, and if not the
    others, with one call less. So the parts become smaller, and all are single runs where d is 1.

    Attributes:
        rows: so many runs, from the first on, have one among them that ended a worker.
        ends: how many ends of a worker it may take to find that one. The runs after these are
            called in parts that double, from one run on.
    """

    rows: int
    ends: int

    @classmethod
    def among(cls, rows: int) -> Search:
        """Search so many runs: with the fewest ends at which four calls a bit are enough."""
        most = max(rows if rows < _CALLS_PER_BIT else 0, int(_CALLS_PER_BIT * math.log2(rows or 1)))
        ends = 1
        while rows > 1 and calls_among(rows, ends) > most:
            ends += 1
        return cls(rows, ends)

    def within(self, start: int, stop: int) -> Search:
        """Search a part of this one's whose call ended the worker."""
        if start < self.rows:
            return Search(stop - start, max(1, self.ends - 1))
        return Search.among(stop - start)

    def after(self, rows: int) -> Search:
        """Search on after so many runs that ended no worker."""
        return Search(max(0, self.rows - rows), self.ends)

    def parts(self, rows: int) -> Iterator[tuple[int, int]]:
        """Yield the first row of each part of a chunk of so many, and the one after its last."""
        start, searched = 0, min(self.rows, rows)
        left = calls_among(searched, self.ends) if searched else 0
        while start < searched:
            left -= 1
            stop = min(searched, start + math.comb(left, self.ends - 1))
            yield start, stop
            start = stop
        size = 1
        while start < rows:
            stop = min(rows, start + size)
            yield start, stop
            start, size = stop, 2 * size


def calls_among(rows: int, ends: int) -> int:
    """Answer how many calls it takes at most to find one among so many with so many ends."""
    if ends == 1:
        return rows
    # binomial(c, d) is at most c to the d-th by d!, which is where to begin to look.
    calls = max(ends, int((rows * math.factorial(ends)) ** (1 / ends)))
    while math.comb(calls, ends) < rows:
        calls += 1
    return calls
