"""End this process together with the process that it works for."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Ask Linux to kill this process with the thread that started it, and ignore Ctrl-C.

    A terminal sends Ctrl-C to a whole group; only the coordinator handles it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent died before the request took effect.
        os._exit(0)


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
