"""Ctrl-C while a query is bound, executed or read, here or in an engine."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Final, TypeVar

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
    result: list[WorkT] = []
    errors: list[BaseException] = []
    # Not the thread's join(), which takes a thread for ended when a signal interrupts it.
    finished = threading.Event()

    def do() -> None:
        try:
            result.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            finished.set()

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(do,), name="batchflow-query", daemon=True)
    thread.start()
    try:
        # Woken now and then, as another thread may have received the signal.
        while not finished.wait(_WAKE_SECONDS):
            pass
    except BaseException:
        _end(finished, interrupt)
        raise
    if errors:
        raise errors[0]
    return result[0]


def _end(finished: threading.Event, interrupt: Callable[[], None]) -> None:
    """Interrupt until the work ends, but wait for that no longer than a caller's patience."""

    def repeat() -> None:
        while not finished.is_set():
            # An engine that is gone has ended the query.
            with contextlib.suppress(BatchflowError):
                interrupt()
            finished.wait(_LOOK_SECONDS)

    # By another thread, as DuckDB forgets what came before it began, and an engine may be slow.
    threading.Thread(target=repeat, name="batchflow-interrupt", daemon=True).start()
    finished.wait(_PATIENCE_SECONDS)
