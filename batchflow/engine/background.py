"""A coordinator that drains in a thread of its own."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchflow.coordinator import Coordinator, DrainOptions

log = logging.getLogger("batchflow")

# Another thread may receive a signal, and then the main thread handles it when it wakes up.
_WAKE_SECONDS: Final = 0.25


class Background:
    """Drains until ``end`` is called, or until the interpreter ends.

    Args:
        coordinator: The coordinator that drains.
        options: Of its drain.
        on_failure: Called with the error that ended the coordinator.
        grace_seconds: How long chunks in flight may take after ``end``.
        log_values: Whether the log shows the error's message and traceback.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        options: DrainOptions,
        on_failure: Callable[[BaseException], None],
        grace_seconds: float,
        log_values: bool = False,
    ) -> None:
        self._coordinator = coordinator
        self._options = options
        self._grace_seconds = grace_seconds
        self._pid = os.getpid()
        self._log_values = log_values
        self._on_failure = on_failure
        self._failure: BaseException | None = None
        # Until Python 3.13, a join() that Ctrl-C interrupts takes the thread for ended.
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._drain, name="batchflow-coordinator")
        self._thread.daemon = True
        # A daemon thread that is in DuckDB's code when Python ends aborts the process.
        atexit.register(self._stop_at_exit)
        self._thread.start()

    def end(self) -> None:
        """Stop the coordinator, wait for its end, and raise the error that ended it, if any.

        Chunks in flight have their grace time. Ctrl-C abandons them.
        """
        atexit.unregister(self._stop_at_exit)
        self._stop()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _stop_at_exit(self) -> None:
        # A forked child has no such thread.
        if os.getpid() == self._pid:
            self._stop()

    def _stop(self) -> None:
        self._coordinator.stop.request(self._grace_seconds)
        try:
            self._await_end()
        except BaseException:
            self._coordinator.stop.request(0.0)
            self._await_end()
            raise

    def _await_end(self) -> None:
        while not self._ended.wait(_WAKE_SECONDS):
            pass

    def _drain(self) -> None:
        try:
            self._coordinator.drain(self._options)
        except BaseException as error:
            log.error(
                "The coordinator ended with an error: %s.",
                type(error).__qualname__,
                exc_info=self._log_values,
                extra={"action": "coordinator_failed"},
            )
            self._failure = error
            self._on_failure(error)
        finally:
            self._ended.set()
