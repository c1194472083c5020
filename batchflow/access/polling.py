"""Waiting for changes of a store from outside its engine: by looking again and again."""

from __future__ import annotations

import time
from typing import Final

_PAUSE_SECONDS: Final = 0.1


class Polling:
    """Says that it is time to look again after a short pause; see `News`.

    Attributes:
        number: Always the same, as nothing is heard of the store's changes.
    """

    number = 0

    def wait(self, number: int, timeout_seconds: float | None) -> None:  # noqa: ARG002
        """Return after a short pause, or when the time is up."""
        left = _PAUSE_SECONDS if timeout_seconds is None else min(timeout_seconds, _PAUSE_SECONDS)
        time.sleep(max(left, 0.0))
