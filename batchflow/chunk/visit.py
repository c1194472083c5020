"""The permission to execute further steps for the runs of a chunk before anything is committed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Visit:
    """How far the runs of a chunk may go until their results are committed together.

    Attributes:
        seconds: After this time, counted from the beginning of the chunk, no further step begins.
        may_go_back: Whether runs that repeat or move backward continue as well.
        barred: The codes of the statuses at which a visit ends, besides those at which the
            workflow's definition ends it.
    """

    seconds: float
    may_go_back: bool = False
    barred: tuple[int, ...] = ()
