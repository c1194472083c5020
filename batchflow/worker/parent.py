"""End this process together with the process that it works for."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def end_with_parent(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Ask Linux to send this process a signal when the thread that started it ends.

    Ctrl-C is ignored from now on: a terminal sends it to a whole group, and only the coordinator
    handles it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:
        # The parent died before the request took effect.
        os._exit(0)


def adopt_orphans() -> None:
    """Ask Linux to make this process the parent of all its descendants whose parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_writer(lifeline: int, when_written: Callable[[], None]) -> None:
    """End this process when no process holds the other end of the pipe ``lifeline`` any more.

    Linux kills the process without it. ``when_written`` is called whenever a byte arrives instead.
    This thread can't run while native code keeps the interpreter's lock.
    """
    threading.Thread(target=_exit_at_end_of, args=(lifeline, when_written), daemon=True).start()


def _exit_at_end_of(lifeline: int, when_written: Callable[[], None]) -> None:
    while os.read(lifeline, 1):
        when_written()
    os._exit(0)
