"""A clock that jumps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_START = datetime(2000, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until it is moved, and that jumps where others would sleep."""

    def __init__(self, now: datetime = _START) -> None:
        self._now = now

    def now(self) -> datetime:
        """Answer the present moment, aware, in UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let this much time pass at once."""
        self._now += timedelta(seconds=seconds)

    def seconds_until(self, moment: datetime) -> float:
        """Jump to ``moment``, and answer that there is nothing to sleep for."""
        self._now = max(self._now, moment)
        return 0.0
