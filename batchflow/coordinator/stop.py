"""Asking a drain to end, from any thread or signal handler."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Stop:
    """Whether a stop was asked for, and how long what is in flight may still take."""

    def __init__(self, when_requested: Callable[[], None]) -> None:
        self._when_requested = when_requested
        self._deadline: float | None = None

    def request(self, grace_seconds: float) -> None:
        """Ask to stop; chunks in flight get this long to finish. Asking again only shortens it."""
        deadline = time.monotonic() + grace_seconds
        self._deadline = min(deadline, self._deadline or deadline)
        self._when_requested()

    def clear(self) -> None:
        """Take the request back."""
        self._deadline = None

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        return self._deadline is not None

    @property
    def seconds_left(self) -> float | None:
        """How long what is in flight may still take; ``None`` without a request."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
