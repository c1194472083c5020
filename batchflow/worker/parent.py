"""Living no longer than the process that this one works for."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have Linux kill this process with the thread that started it, and ignore Ctrl-C.

    A terminal sends Ctrl-C to a whole group; the coordinator alone decides what it means.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It died before it could take this process with it.
        os._exit(0)


def end_with_writer(lifeline: int) -> None:
    """End this process when nobody holds the other end of the pipe ``lifeline`` any more.

    The kernel does without that where it can: this thread can't run while native code keeps the
    interpreter's lock.
    """
    threading.Thread(target=_exit_at_end_of, args=(lifeline,), daemon=True).start()


def _exit_at_end_of(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(0)
