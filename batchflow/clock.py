"""The clock, which is an argument of everything that depends on the time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The present time, and how long to sleep until a later one."""

    def now(self) -> datetime:
        """Return the present time in UTC, with its time zone."""

    def seconds_until(self, moment: datetime) -> float:
        """Return the real seconds to sleep until ``moment``; 0.0 if it has passed."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present time in UTC, with its time zone."""
        return datetime.now(UTC)

    def seconds_until(self, moment: datetime) -> float:
        """Return the real seconds to sleep until ``moment``; 0.0 if it has passed."""
        return max(0.0, (moment - self.now()).total_seconds())
