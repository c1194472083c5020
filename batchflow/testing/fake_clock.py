"""A clock for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_START = datetime(2000, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until it is advanced, and that jumps instead of sleeping."""

    def __init__(self, now: datetime = _START) -> None:
        self._now = now

    def now(self) -> datetime:
        """Return the current moment, aware, in UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Advance the clock by this many seconds at once."""
        self._now += timedelta(seconds=seconds)

    def seconds_until(self, moment: datetime) -> float:
        """Jump to ``moment``, and return 0.0, so that the caller doesn't sleep."""
        self._now = max(self._now, moment)
        return 0.0
