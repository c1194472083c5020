"""How many log records of a node are handled: a node runs user code, and could flood the log."""

from __future__ import annotations

from typing import Final

RECORDS_PER_SECOND: Final = 200
# A node that was quiet before may send so many at once, such as one for each failed run of a chunk.
_MOST_AT_ONCE: Final = 2_000
# So often, the number of records that were left out is a line of its own.
_REPORT_SECONDS: Final = 1.0


class RecordLimit:
    """Counts the records of one node (a token bucket)."""

    def __init__(self) -> None:
        self._allowed = float(_MOST_AT_ONCE)
        self._since: float | None = None
        self._left_out = 0
        self._reported_at = float("-inf")

    def takes(self, now: float) -> bool:
        """Return whether the next record is handled; count it otherwise."""
        passed = 0.0 if self._since is None else now - self._since
        self._allowed = min(_MOST_AT_ONCE, self._allowed + passed * RECORDS_PER_SECOND)
        self._since = now
        if self._allowed < 1.0:
            self._left_out += 1
            return False
        self._allowed -= 1.0
        return True

    def take_left_out(self, now: float, *, at_once: bool = False) -> int:
        """Return how many records were left out since this was last reported; at times 0."""
        if not at_once and now - self._reported_at < _REPORT_SECONDS:
            return 0
        left_out, self._left_out = self._left_out, 0
        if left_out:
            self._reported_at = now
        return left_out
