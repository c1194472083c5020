"""News for callers that wait until a run reaches a status."""

from __future__ import annotations

import math
import threading
import time
from typing import Final

# Another thread may receive a signal, and then the main thread handles it when it wakes up.
_WAKE_SECONDS: Final = 0.25


class CommitNews:
    """Wakes waiting callers whenever runs were changed, or the coordinator failed.

    Attributes:
        number: Rises with each change.
    """

    def __init__(self) -> None:
        self.number = 0
        self._changed = threading.Condition()
        self._failure: BaseException | None = None

    def notify(self, _: object = None) -> None:
        """Report that runs were changed."""
        with self._changed:
            self.number += 1
            self._changed.notify_all()

    def notify_failure(self, error: BaseException) -> None:
        """Report that the coordinator ended with an error, so that no run will be moved."""
        self._failure = error
        self.notify()

    def forget_failure(self) -> None:
        """Forget a former coordinator's failure, as another one begins."""
        self._failure = None

    def wait(self, number: int, timeout_seconds: float | None) -> None:
        """Return when runs were changed after `number`, or the time is up.

        Raises:
            BaseException: What ended the coordinator.
        """
        if self._failure is not None:
            raise self._failure
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        with self._changed:
            while self.number == number and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(min(left, _WAKE_SECONDS))
