"""End the processes that steps left behind when their worker ends.

A worker has a session of its own. What its steps start is in that session, unless it asks for
another one, and on Linux the fork server adopts it when its parent ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Container, Iterator


def end_group(worker: int) -> None:
    """Kill the processes of an ended worker's group, which has the worker's id."""
    # While the group has processes, no other one gets its id.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)


def end_orphans(workers: Container[int]) -> bool:
    """Kill this process's children that are neither workers nor in the session of one.

    They are what ended workers left behind in groups or sessions of their own. The children of
    those that are killed become children of this process in turn. Only Linux has them here.

    Returns:
        Whether there were any.
    """
    found = False
    for pid, session in _children():
        if pid not in workers and session not in workers:
            found = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    return found


def _children() -> Iterator[tuple[int, int]]:
    """Yield the running children of this process, each with its session."""
    if sys.platform != "linux":
        return
    me = os.getpid()
    for pid in _listed_children(me):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # The name in parentheses may contain anything.
                state, parent, _, session, *_ = file.read().rpartition(b")")[2].split()
        except (OSError, ValueError):
            continue
        if int(parent) == me and state != b"Z":
            yield int(pid), int(session)


def _listed_children(parent: int) -> list[str]:
    """Return the children of a process, or all processes if the kernel has no list of them."""
    children: list[str] = []
    try:
        for thread in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{thread}/children") as file:
                children += file.read().split()
    except OSError:
        return list(filter(str.isdigit, os.listdir("/proc")))
    return children
