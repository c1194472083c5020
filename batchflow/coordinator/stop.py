"""The request to end a drain, from any thread or signal handler."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Stop:
    """The request to end a drain, and the time that the chunks in flight still have."""

    def __init__(self, when_requested: Callable[[], None]) -> None:
        self._when_requested = when_requested
        self._deadline: float | None = None
        self._at_once = False

    def request(self, grace_seconds: float) -> None:
        """Request a stop; chunks in flight get this long to finish, or less if requested again."""
        deadline = time.monotonic() + grace_seconds
        self._deadline = min(deadline, self._deadline or deadline)
        self._at_once = self._at_once or grace_seconds <= 0
        self._when_requested()

    def clear(self) -> None:
        """Withdraw the request."""
        self._deadline = None
        self._at_once = False

    @property
    def at_once(self) -> bool:
        """Whether calls under way were given no time to return, and so may not hang at all."""
        return self._at_once

    @property
    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self._deadline is not None

    @property
    def seconds_left(self) -> float | None:
        """How long the chunks in flight may still take; None without a request."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
