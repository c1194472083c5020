"""Ctrl-C while a query is bound, executed or read, here or in an engine."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

from batchflow.errors import BatchflowError

_LOOK_SECONDS: Final = 0.05
_WAKE_SECONDS: Final = 0.25
# After that, the interrupted work is left to itself.
_PATIENCE_SECONDS: Final = 0.8

WorkT = TypeVar("WorkT")


def interruptible(work: Callable[[], WorkT], interrupt: Callable[[], None]) -> WorkT:
    """Return what `work` returns; Ctrl-C meanwhile ends it, and raises KeyboardInterrupt.

    Python handles signals in the main thread only, and not while DuckDB or gRPC work there. So
    another thread does the work, where the main thread would.

    Args:
        work: The work.
        interrupt: Ends it, from another thread; it may be called before the work begins.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    thread = _WorkThread(work)
    try:
        thread.begin()
        # Woken now and then, as another thread may have received the signal.
        while not thread.has_ended_within(_WAKE_SECONDS):
            pass
    except BaseException:
        # Also before the thread was seen to begin, as it does so whenever it gets a processor.
        if not thread.withdrawn():
            _end(thread, interrupt)
        raise
    return thread.result()


class _WorkThread(Generic[WorkT]):
    """Does work beside the main thread, which Ctrl-C may interrupt at any moment.

    A signal can leave the lock of an `Event` held for ever, and has `Thread.join()` take the thread
    for ended. What waits here does so in one call that Python's handlers can't divide.
    """

    def __init__(self, work: Callable[[], WorkT]) -> None:
        self._work = work
        self._results: list[WorkT] = []
        self._errors: list[BaseException] = []
        self._ended: SimpleQueue[None] = SimpleQueue()
        # Is acquired once: by the thread that does the work, or so that it isn't done any more.
        self._turn = threading.Lock()

    def begin(self) -> None:
        """Begin the work; an exception of a signal handler may come before or afterwards."""
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._do,), name="batchflow-query", daemon=True
        ).start()

    def withdrawn(self) -> bool:
        """Return whether the work had not begun, and so never will."""
        return self._turn.acquire(blocking=False)

    @property
    def has_ended(self) -> bool:
        """Whether the work has ended."""
        return bool(self._results or self._errors)

    def has_ended_within(self, seconds: float) -> bool:
        """Wait for the end of the work, and return whether it has ended."""
        if not self.has_ended:
            with contextlib.suppress(Empty):
                self._ended.get(timeout=seconds)
        return self.has_ended

    def result(self) -> WorkT:
        """Return or raise what the work returned or raised."""
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def _do(self) -> None:
        if not self._turn.acquire(blocking=False):
            return
        try:
            self._results.append(self._work())
        except BaseException as error:
            self._errors.append(error)
        finally:
            self._ended.put(None)


def _end(thread: _WorkThread[WorkT], interrupt: Callable[[], None]) -> None:
    """Interrupt until the work ends, but wait for that no longer than a caller's patience."""

    def repeat() -> None:
        while not thread.has_ended:
            # An engine that is gone has ended the query.
            with contextlib.suppress(BatchflowError):
                interrupt()
            time.sleep(_LOOK_SECONDS)

    # By another thread, as DuckDB forgets what came before it began, and an engine may be slow.
    threading.Thread(target=repeat, name="batchflow-interrupt", daemon=True).start()
    thread.has_ended_within(_PATIENCE_SECONDS)
