"""Waiting for changes of a store from outside its engine: by reading it again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_SERVED_SECONDS: Final = 0.1
# Longer, as each look opens the file, which an engine has to wait for.
_CLOSED_SECONDS: Final = 0.5


class Polling:
    """Signals after a short pause that it is time to read the store again; see `News`.

    Args:
        is_served: Returns whether an engine has the store open.

    Attributes:
        number: Always the same, as the store's changes aren't observed.
    """

    number = 0

    def __init__(self, is_served: Callable[[], bool]) -> None:
        self._is_served = is_served

    def wait(self, number: int, timeout_seconds: float | None) -> None:  # noqa: ARG002
        """Return after a short pause, or when the time is up."""
        pause = _SERVED_SECONDS if self._is_served() else _CLOSED_SECONDS
        time.sleep(max(min(pause, pause if timeout_seconds is None else timeout_seconds), 0.0))
