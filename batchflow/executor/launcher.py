"""The thread that starts workers, so that they live as long as their pool."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Started = TypeVar("Started")


class Launcher:
    """Calls functions in one thread that stays.

    A worker asks Linux to be killed with its parent, and by that Linux means the thread that
    started it. Were it the coordinator's, which ends with each `stop`, the workers would end with
    it: at once, and with their resources open.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # A daemon: who forgets to close an engine can still leave the interpreter.
        self._thread = threading.Thread(target=self._serve, name="batchflow-launcher", daemon=True)
        self._thread.start()

    def start(self, function: Callable[[], Started]) -> Started:
        """Call `function` in the thread; answer what it answered, raise what it raised."""
        made: Future[Started] = Future()

        def call() -> None:
            try:
                made.set_result(function())
            except BaseException as error:
                made.set_exception(error)

        self._calls.put(call)
        return made.result()

    def close(self) -> None:
        """End the thread, and with it what it started and still runs."""
        self._calls.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
