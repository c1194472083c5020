"""The time, as an argument: whoever needs it is given a clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time, and how long to sleep until another."""

    def now(self) -> datetime:
        """Answer the present moment, aware, in UTC."""

    def seconds_until(self, moment: datetime) -> float:
        """Answer how many real seconds to sleep until ``moment``; 0.0 when it has come."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Answer the present moment, aware, in UTC."""
        return datetime.now(UTC)

    def seconds_until(self, moment: datetime) -> float:
        """Answer how many real seconds to sleep until ``moment``; 0.0 when it has come."""
        return max(0.0, (moment - self.now()).total_seconds())
