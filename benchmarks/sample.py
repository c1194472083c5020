"""One measurement, as it comes back from the process that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sample:
    """How long one piece of work took, and what came of it.

    Attributes:
        seconds: the time on the clock.
        counts: what must be the same for the measured and its floor: runs by status.
        facts: more figures to put beside it in the JSON.
        peak_mb: the most resident memory of the process that did it.
        peak_worker_mb: the same of the largest of its children; 0.0 where nobody watched.
    """

    seconds: float
    counts: Mapping[str, int]
    facts: Mapping[str, float | str] = field(default_factory=dict)
    peak_mb: float = 0.0
    peak_worker_mb: float = 0.0
