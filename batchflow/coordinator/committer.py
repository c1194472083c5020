"""The one thread that writes, so that a commit runs while the workers continue."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

_LOOK_SECONDS: Final = 0.05


class Committer(Generic[Result]):
    """Executes one write at a time, and calls `when_done` after it.

    Results that arrive meanwhile are gathered for the next write, so a slower store gets larger
    commits.
    """

    def __init__(self, when_done: Callable[[], None]) -> None:
        self._when_done = when_done
        self._writes: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # A ThreadPoolExecutor accepts no work after the main thread has ended, but a coordinator in
        # the background still has to commit the chunks in flight.
        self._thread = threading.Thread(
            target=self._execute_writes, name="batchflow-committer", daemon=True
        )
        self._thread.start()
        self._write: Future[Result] | None = None

    @property
    def busy(self) -> bool:
        """Whether a write was begun whose result wasn't returned yet."""
        return self._write is not None

    def begin(self, write: Callable[[], Result]) -> None:
        """Begin a write; call it only if not busy."""
        future: Future[Result] = Future()
        future.add_done_callback(lambda _: self._when_done())
        self._write = future
        self._writes.put(partial(_execute, write, future))

    def finished(self) -> Result | None:
        """Return the result of the write once, or raise its error; None while it runs."""
        if self._write is None or not self._write.done():
            return None
        write, self._write = self._write, None
        return write.result()

    @property
    def thread(self) -> threading.Thread:
        """The thread that writes."""
        return self._thread

    def close(self, at_times: Callable[[], object]) -> None:
        """Wait for the write under way; `finished` then returns its result.

        Meanwhile `at_times` is called again and again.
        """
        self._writes.put(None)
        while self._thread.is_alive():
            at_times()
            self._thread.join(_LOOK_SECONDS)

    def _execute_writes(self) -> None:
        while (write := self._writes.get()) is not None:
            write()


def _execute(write: Callable[[], Result], future: Future[Result]) -> None:
    try:
        future.set_result(write())
    except BaseException as error:
        future.set_exception(error)
