"""One measurement, as the process that made it returns it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sample:
    """The time of one work, and its result.

    Attributes:
        seconds: The measured time.
        counts: The result, which has to be the same for batchflow and its baseline: the number of
            runs by status.
        facts: More figures for the JSON.
        peak_mb: The peak resident memory of the process.
        peak_worker_mb: The peak of its largest child; 0.0 if it wasn't measured.
    """

    seconds: float
    counts: Mapping[str, int]
    facts: Mapping[str, float | str] = field(default_factory=dict)
    peak_mb: float = 0.0
    peak_worker_mb: float = 0.0
