"""The share of the workers that runs which were put back take from the other runs."""

from __future__ import annotations

from typing import Final

# So that chunks which take no measurable time count as well.
_LEAST_SECONDS: Final = 1e-6


class RerunShare:
    """Decides whose turn it is, by the seconds that each kind of runs had workers.

    The seconds count only from the last time that one kind waited alone, which then has all workers
    and owes the other nothing.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._reruns = 0.0
        self._others = 0.0

    def gives_reruns_a_turn(self, *, in_flight: int, workers: int) -> bool:
        """Return whether the next chunk is to be of re-runs, of which so many are in flight."""
        if in_flight >= max(1, int(self._share * workers)):
            return False
        return self._reruns <= self._share * (self._reruns + self._others)

    def most_of(self, limit: int) -> int:
        """Return how many re-runs are claimed at once of so many runs that may be executed."""
        return max(1, int(self._share * limit))

    def record(self, seconds: float, *, reruns: bool) -> None:
        """Record how long a chunk had a worker."""
        counted = max(seconds, _LEAST_SECONDS)
        if reruns:
            self._reruns += counted
        else:
            self._others += counted

    def restart(self) -> None:
        """Record that only one kind of runs waits."""
        self._reruns = self._others = 0.0
