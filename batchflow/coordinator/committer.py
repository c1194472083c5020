"""The one thread that writes results, so that a commit runs while the workers go on."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Written = TypeVar("Written")


class Committer(Generic[Written]):
    """Does one write at a time and says when it is done.

    Results that arrive meanwhile gather and go into the next write together: the slower the store,
    the larger its commits.
    """

    def __init__(self, when_done: Callable[[], None]) -> None:
        self._when_done = when_done
        self._writes: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # No ThreadPoolExecutor: that takes no more work once the main thread has ended, and a
        # coordinator in the background still has to commit what is in flight.
        self._thread = threading.Thread(target=self._serve, name="batchflow-committer", daemon=True)
        self._thread.start()
        self._write: Future[Written] | None = None

    @property
    def busy(self) -> bool:
        """Whether a write was begun that nobody has taken note of."""
        return self._write is not None

    def begin(self, write: Callable[[], Written]) -> None:
        """Begin a write; only when not busy."""
        future: Future[Written] = Future()
        future.add_done_callback(lambda _: self._when_done())
        self._write = future
        self._writes.put(partial(_do, write, future))

    def finished(self) -> Written | None:
        """Answer what the write answered, once; ``None`` while it lasts. Raises what it raised."""
        if self._write is None or not self._write.done():
            return None
        write, self._write = self._write, None
        return write.result()

    def close(self) -> None:
        """Wait for the write under way; ``finished`` then answers it."""
        self._writes.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (write := self._writes.get()) is not None:
            write()


def _do(write: Callable[[], Written], future: Future[Written]) -> None:
    try:
        future.set_result(write())
    except BaseException as error:
        future.set_exception(error)
