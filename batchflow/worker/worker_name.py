"""The names of workers, by which failures and costs state where a step was executed."""

from __future__ import annotations

import functools
import os
import socket


def worker_name(pid: int | None = None) -> str:
    """Return the name of a process on this machine, or of this one, like ``web-1:4242``."""
    return f"{_machine()}:{os.getpid() if pid is None else pid}"


@functools.cache
def _machine() -> str:
    return socket.gethostname()
