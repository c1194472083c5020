"""Faults that break the process of a worker, rather than the call of a step."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import enum
import json
import os
import resource
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from batchflow.testing.faults import Fault

_FIRST_DESCRIPTOR = 3
_MOST_DESCRIPTORS = 256
_CHILDS_SECONDS = 60.0
_LATER_SECONDS = 0.02
_FILE_BYTES = 16


class Sabotage(enum.Enum):
    """The ways in which a step can break its worker, and go on as if nothing had happened."""

    CLOSES_DESCRIPTORS = "closes all files and sockets of the process"
    REPLACES_SOCKETS = "puts another socket in the place of each socket of the process"
    WRITES_TO_SOCKETS = "writes into all sockets of the process"
    TRUNCATES_FILES = "cuts off all files in memory that the process has open"
    STOPS_WORKER = "stops the process, as Ctrl-Z does"
    STOPS_FORK_SERVER = "stops the parent of the process"
    KILLS_FORK_SERVER = "kills the parent of the process"
    STOPS_EVENT_LOOP = "stops the running event loop; does nothing outside of an async step"
    BREAKS_BUILTIN = "replaces `len` by a function that raises"
    PATCHES_MODULES = "replaces functions of `json`, `os`, `socket` and `struct`"
    LEAVES_CHILD = "forks a process that lives on, and ends"
    RETURNS_IN_CHILD = "forks a process, and returns in both"
    EXITS_LATER = "ends the process a moment later, in a thread"
    LIMITS_FILE_SIZE = "limits the size of the files that the process can write"


def sabotages(how: Sabotage) -> Fault:
    """Break the process of the worker, then go on; the step is called as usual.

    Never use it with ``workers=0``, as it would break your own process.
    """
    return _Sabotages(how)


@dataclass(frozen=True)
class _Sabotages(Fault):
    how: Sabotage

    def strike(self) -> None:
        _ACTS[self.how]()


def _broken(*_: object, **__: object) -> object:
    raise RuntimeError("a step has broken this function")


def _descriptors(name: str) -> list[int]:
    """Return the descriptors of files whose name begins with this; only Linux shows them."""
    found = []
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith(name):
                found.append(descriptor)
    return found


def _replace_sockets() -> None:
    sockets = _descriptors("socket:")
    ours, theirs = socket.socketpair()
    for descriptor in sockets:
        os.dup2(ours.fileno(), descriptor)
    # The other end stays open, so that nothing sent to it is an error.
    theirs.detach()


def _write_to_sockets() -> None:
    for descriptor in _descriptors("socket:"):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"not a message")


def _truncate_files() -> None:
    for descriptor in _descriptors("/memfd:"):
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)


def _kill_parent() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    # Linux ends this process with its parent, a moment later.
    time.sleep(_CHILDS_SECONDS)


def _stop_event_loop() -> None:
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop().stop()


def _patch_modules() -> None:
    for module, name in ((json, "dumps"), (os, "fdopen"), (socket, "send_fds"), (struct, "pack")):
        setattr(module, name, _broken)


def _leave_child() -> None:
    if os.fork() == 0:
        time.sleep(_CHILDS_SECONDS)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


def _limit_file_size() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, hard))


_ACTS: Final[Mapping[Sabotage, Callable[[], object]]] = {
    Sabotage.CLOSES_DESCRIPTORS: lambda: os.closerange(_FIRST_DESCRIPTOR, _MOST_DESCRIPTORS),
    Sabotage.REPLACES_SOCKETS: _replace_sockets,
    Sabotage.WRITES_TO_SOCKETS: _write_to_sockets,
    Sabotage.TRUNCATES_FILES: _truncate_files,
    Sabotage.STOPS_WORKER: lambda: os.kill(os.getpid(), signal.SIGSTOP),
    Sabotage.STOPS_FORK_SERVER: lambda: os.kill(os.getppid(), signal.SIGSTOP),
    Sabotage.KILLS_FORK_SERVER: _kill_parent,
    Sabotage.STOPS_EVENT_LOOP: _stop_event_loop,
    Sabotage.BREAKS_BUILTIN: lambda: setattr(builtins, "len", _broken),
    Sabotage.PATCHES_MODULES: _patch_modules,
    Sabotage.LEAVES_CHILD: _leave_child,
    Sabotage.RETURNS_IN_CHILD: os.fork,
    Sabotage.EXITS_LATER: lambda: threading.Timer(_LATER_SECONDS, os._exit, [1]).start(),
    Sabotage.LIMITS_FILE_SIZE: _limit_file_size,
}
