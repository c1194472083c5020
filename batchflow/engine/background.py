"""A coordinator in a thread of its own."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from typing import TYPE_CHECKING

from batchflow.coordinator import DrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchflow.coordinator import Coordinator

log = logging.getLogger("batchflow")


class Background:
    """Drains forever, until ``end``; what ended it is logged in words only with `log_values`.

    Where nobody ends it, it ends with the interpreter, like by ``end``.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        on_failure: Callable[[BaseException], None],
        grace_seconds: float,
        log_values: bool = False,
    ) -> None:
        self._coordinator = coordinator
        self._grace_seconds = grace_seconds
        self._pid = os.getpid()
        self._log_values = log_values
        self._on_failure = on_failure
        self._failure: BaseException | None = None
        # A join() that Ctrl-C interrupts takes the thread for ended, until Python 3.13.
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._drain, name="batchflow-coordinator")
        self._thread.daemon = True
        # Python ends a daemon within DuckDB's C++ when it ends itself, which aborts the process.
        atexit.register(self._stop_at_exit)
        self._thread.start()

    def end(self) -> None:
        """Stop it, wait until it has, and raise what ended it before, if something did.

        What is in flight has its grace time; where Ctrl-C interrupts the wait, it is abandoned.
        """
        atexit.unregister(self._stop_at_exit)
        self._stop()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _stop_at_exit(self) -> None:
        # In the child of a fork there is no such thread to wait for.
        if os.getpid() == self._pid:
            self._stop()

    def _stop(self) -> None:
        self._coordinator.stop.request(self._grace_seconds)
        try:
            self._ended.wait()
        except BaseException:
            self._coordinator.stop.request(0.0)
            self._ended.wait()
            raise

    def _drain(self) -> None:
        try:
            self._coordinator.drain(DrainOptions(forever=True))
        except BaseException as error:
            log.error(
                "the coordinator ended: %s",
                type(error).__qualname__,
                exc_info=self._log_values,
                extra={"action": "coordinator_failed"},
            )
            self._failure = error
            self._on_failure(error)
        finally:
            self._ended.set()
