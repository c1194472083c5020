"""The fork server: a process with the libraries loaded, and no user code, that forks workers.

A worker that starts by itself takes a third of a second to import the libraries. A worker forked
from here is ready within some milliseconds, so a worker that dies is replaced at once. The user's
code is loaded only after the fork, so each worker has its own connections, threads and random
numbers even if a module creates them on import.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import pathlib  # noqa: F401 - most users' modules import it
import select
import signal
import socket
import struct
import sys
import warnings

import numpy.ma  # noqa: F401 - NumPy imports it at first use, and so each worker would
import pyarrow as pa

from batchflow.worker import main as worker
from batchflow.worker.parent import end_with_parent

# The two reports of a worker: its process id (or a negative errno), later its exit code.
STARTED = struct.Struct("<q")
ENDED = struct.Struct("<i")
DESCRIPTORS_PER_WORKER = 5


def main(requests_descriptor: int, memory_limit_bytes: int) -> None:
    """Fork a worker for each request, until the socket of requests closes.

    Five descriptors come with a request: four for the worker, and a pipe that takes the reports
    of its process id and of its exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        # A step that prints a character that the log's encoding lacks doesn't fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # The first conversion imports pandas if it is installed, which takes longer than all else.
    pa.array([0])
    pa.set_cpu_count(1)
    descriptors = _ForkLoop(socket.socket(fileno=requests_descriptor)).serve()
    if descriptors is not None:
        worker.main(*descriptors, memory_limit_bytes)


class _ForkLoop:
    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._pid = os.getpid()
        self._reports: dict[int, int] = {}
        # The end of a child interrupts the wait for requests.
        self._ends, wakeup = os.pipe()
        os.set_blocking(self._ends, False)
        os.set_blocking(wakeup, False)
        self._wakeup = wakeup
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        # Memory that the collector never touches again stays shared with the workers.
        gc.collect()
        gc.freeze()

    def serve(self) -> tuple[int, int, int, int] | None:
        """Serve requests; return the descriptors in a forked worker, ``None`` at the end."""
        while True:
            readable, _, _ = select.select([self._requests.fileno(), self._ends], [], [])
            if self._ends in readable:
                self._report_ends()
            if self._requests.fileno() in readable:
                request, given, _, _ = socket.recv_fds(self._requests, 1, DESCRIPTORS_PER_WORKER)
                if not request:
                    return None
                if len(given) < DESCRIPTORS_PER_WORKER:
                    # Too many files are open here; the pool notices that the worker is missing.
                    _close(*given)
                elif self._forked(*given):
                    return given[0], given[1], given[2], given[3]

    def _forked(self, *given: int) -> bool:
        """Fork; return True in the worker."""
        *of_worker, reports = given
        try:
            pid = _fork()
        except OSError as error:
            _report(reports, STARTED.pack(-(error.errno or errno.EAGAIN)))
            _close(*given)
            return False
        if pid == 0:
            self._become_worker(reports)
            return True
        _report(reports, STARTED.pack(pid))
        self._reports[pid] = reports
        _close(*of_worker)
        return False

    def _become_worker(self, reports: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._requests.close()
        _close(self._ends, self._wakeup, reports, *self._reports.values())
        # A step that signals its process group reaches no other process.
        os.setpgid(0, 0)
        _draw_own_numbers()
        end_with_parent(self._pid)

    def _report_ends(self) -> None:
        os.read(self._ends, 4096)
        while self._reports:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            reports = self._reports.pop(pid)
            _report(reports, ENDED.pack(os.waitstatus_to_exitcode(status)))
            _close(reports)


def _draw_own_numbers() -> None:
    """Seed NumPy's global generator, which forked processes would share; `random` seeds itself."""
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def _report(reports: int, message: bytes) -> None:
    # The pool has closed the pipe if it no longer needs to know about this worker.
    with contextlib.suppress(BrokenPipeError):
        os.write(reports, message)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _fork() -> int:
    with warnings.catch_warnings():
        # Python warns of the threads of OpenBLAS, which ends them itself before a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
