"""The process that workers are forked from: it has the libraries loaded, and nothing of the user's.

A worker by itself takes a third of a second to import them; forked from here it is there within
some milliseconds, so that a worker that dies is replaced at once. The user's code is loaded only
after the fork: connections, threads and random numbers that a module makes on import are each
worker's own.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import pathlib  # noqa: F401 - the modules of most users import it
import select
import signal
import socket
import struct
import warnings

import numpy.ma  # noqa: F401 - what NumPy imports when it is first used, a worker has at once
import pyarrow as pa

from batchflow.worker import main as worker
from batchflow.worker.parent import end_with_parent

# What is told of a worker: its process id (or an error number below 0), then how it ended.
STARTED = struct.Struct("<q")
ENDED = struct.Struct("<i")
DESCRIPTORS_PER_WORKER = 4


def main(requests_descriptor: int, memory_limit_bytes: int) -> None:
    """Fork a worker for each request, until the socket of requests closes.

    With a request come four descriptors: three that are the worker's, and a pipe into which it
    is written who the worker is, and how it ended.
    """
    # Its first conversion imports pandas where that is installed, which takes longer than all else.
    pa.array([0])
    pa.set_cpu_count(1)
    descriptors = _Template(socket.socket(fileno=requests_descriptor)).serve()
    if descriptors is not None:
        worker.main(*descriptors, memory_limit_bytes)


class _Template:
    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._pid = os.getpid()
        self._told: dict[int, int] = {}
        # A child's end interrupts the wait for requests.
        self._ends, wakeup = os.pipe()
        os.set_blocking(self._ends, False)
        os.set_blocking(wakeup, False)
        self._wakeup = wakeup
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        # What is never looked at again stays shared with the workers.
        gc.collect()
        gc.freeze()

    def serve(self) -> tuple[int, int, int] | None:
        """Serve requests; answer the descriptors in a forked worker, ``None`` at the end."""
        while True:
            readable, _, _ = select.select([self._requests.fileno(), self._ends], [], [])
            if self._ends in readable:
                self._tell_ends()
            if self._requests.fileno() in readable:
                request, given, _, _ = socket.recv_fds(self._requests, 1, DESCRIPTORS_PER_WORKER)
                if not request:
                    return None
                if len(given) < DESCRIPTORS_PER_WORKER:
                    # This process may have no more files open; the worker is missed.
                    _close(*given)
                elif self._forked(*given):
                    return given[0], given[1], given[2]

    def _forked(self, channel: int, page: int, lifeline: int, told: int) -> bool:
        """Fork; tell whether this is the worker."""
        try:
            pid = _fork()
        except OSError as error:
            _tell(told, STARTED.pack(-(error.errno or errno.EAGAIN)))
            _close(channel, page, lifeline, told)
            return False
        if pid == 0:
            self._become_worker(told)
            return True
        _tell(told, STARTED.pack(pid))
        self._told[pid] = told
        _close(channel, page, lifeline)
        return False

    def _become_worker(self, told: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._requests.close()
        _close(self._ends, self._wakeup, told, *self._told.values())
        # A step that signals its process group is to reach nobody else.
        os.setpgid(0, 0)
        end_with_parent(self._pid)

    def _tell_ends(self) -> None:
        os.read(self._ends, 4096)
        while self._told:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            told = self._told.pop(pid)
            _tell(told, ENDED.pack(os.waitstatus_to_exitcode(status)))
            _close(told)


def _tell(told: int, message: bytes) -> None:
    # Whoever isn't interested in a worker any more has closed the pipe.
    with contextlib.suppress(BrokenPipeError):
        os.write(told, message)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _fork() -> int:
    with warnings.catch_warnings():
        # The threads that Python warns of are OpenBLAS's, which ends them before a fork itself.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
