"""The thread that starts the fork server, so that it lives as long as its pool."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

StartedT = TypeVar("StartedT")


class Launcher:
    """Calls functions in one thread that stays.

    The fork server asks Linux to be killed with its parent, and for Linux that is the thread that
    started it. The coordinator's thread ends with each `stop`; if it were the parent, the workers
    would end with it, at once and with their resources open.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # A daemon thread, so that the interpreter can exit even if an engine was never closed.
        self._thread = threading.Thread(target=self._serve, name="batchflow-launcher", daemon=True)
        self._thread.start()

    def start(self, function: Callable[[], StartedT]) -> StartedT:
        """Call `function` in the thread; return what it returns, or raise what it raises."""
        outcome: Future[StartedT] = Future()

        def call() -> None:
            try:
                outcome.set_result(function())
            except BaseException as error:
                outcome.set_exception(error)

        self._calls.put(call)
        return outcome.result()

    def close(self) -> None:
        """End the thread, and with it the processes that it started."""
        self._calls.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
