"""The time without a node: it is logged, and may have a limit."""

from __future__ import annotations

import logging
import time
from typing import Final

log = logging.getLogger("batchflow")

_FIRST_NOTICE_SECONDS: Final = 10.0
_NOTICE_SECONDS: Final = 60.0


class Waiting:
    """Knows how long there has been no node.

    Args:
        address: The cluster's address, for people.
        limit_seconds: After this time no node is expected any more; None is no limit.

    Attributes:
        over: Whether the time is over.
    """

    def __init__(self, address: str, limit_seconds: float | None) -> None:
        self._address = address
        self._limit_seconds = limit_seconds
        self.over = False
        self._since = self._notice_at = 0.0
        self.begin()

    def begin(self) -> None:
        """Wait for a node from now on."""
        self.over = False
        self._since = time.monotonic()
        self._notice_at = self._since + _FIRST_NOTICE_SECONDS

    def give_up(self) -> None:
        """Expect no node any more."""
        self.over = True

    @property
    def seconds(self) -> float | None:
        """How many seconds to sleep until `look` is due; None if it isn't."""
        if self.over:
            return None
        limit = self._limit_seconds
        ends = self._notice_at if limit is None else min(self._notice_at, self._since + limit)
        return max(0.0, ends - time.monotonic())

    def look(self, why: str) -> None:
        """Log the wait, or give up, if it is time for that."""
        now = time.monotonic()
        waited = now - self._since
        if self._limit_seconds is not None and waited >= self._limit_seconds:
            self.over = True
        elif now >= self._notice_at:
            self._notice_at = now + _NOTICE_SECONDS
            log.warning(
                "The drain has been waiting for %.0f s for a node of the Ray cluster at %r: %s. "
                "It continues when one joins.",
                waited,
                self._address,
                why,
                extra={"action": "await_node", "seconds": waited},
            )
