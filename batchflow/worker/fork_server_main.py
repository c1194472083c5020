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
import time
import warnings

import pyarrow as pa

from batchflow.worker import main as worker
from batchflow.worker.leftovers import end_group, end_orphans
from batchflow.worker.parent import adopt_orphans, end_with_parent
from batchflow.worker.transport import received

# The two reports of a worker: its process id (or a negative errno), later its exit code.
STARTED = struct.Struct("<q")
ENDED = struct.Struct("<i")
DESCRIPTORS_PER_WORKER = 5
# Looking for orphans reads all of /proc, so it doesn't delay the worker that replaces an ended one.
_ORPHANS_WAIT_SECONDS = 0.02
_MOST_LOOKS = 50


def main(requests_descriptor: int, memory_limit_bytes: int, uses_loop: bool) -> None:
    """Fork a worker for each request, until the socket of requests closes.

    Five descriptors come with a request: four for the worker, and a pipe that takes the reports
    of its process id and of its exit code.

    Args:
        requests_descriptor: The socket of requests.
        memory_limit_bytes: The memory that each worker may allocate.
        uses_loop: Whether the workers need asyncio, which takes long to import.
    """
    for stream in (sys.stdout, sys.stderr):
        # A step that prints a character that the log's encoding lacks doesn't fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if uses_loop:
        import batchflow.worker.rows_async  # noqa: F401 - it imports asyncio
    # NumPy imports it at first use, and so each worker would.
    import numpy.ma  # noqa: F401

    # The first conversion imports pandas if it is installed, which takes longer than all else.
    pa.array([0])
    pa.set_cpu_count(1)
    os.set_inheritable(requests_descriptor, False)
    loop = _ForkLoop(socket.socket(fileno=requests_descriptor))
    descriptors = loop.serve()
    if descriptors is None:
        loop.close()
    else:
        worker.main(*descriptors, memory_limit_bytes)


class _ForkLoop:
    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._pid = os.getpid()
        self._reports: dict[int, int] = {}
        self._may_have_orphans = False
        # The end of a child interrupts the wait for requests.
        self._ends, wakeup = os.pipe()
        self._coordinator_ended = False
        os.set_blocking(self._ends, False)
        os.set_blocking(wakeup, False)
        self._wakeup = wakeup
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        adopt_orphans()
        # It has to end what its workers leave behind, so it isn't killed like them. The signal
        # comes once for each thread of the coordinator that ends, so its handler can't raise.
        signal.signal(signal.SIGTERM, self._end)
        end_with_parent(os.getppid(), by=signal.SIGTERM)
        # Memory that the collector never touches again stays shared with the workers.
        gc.collect()
        gc.freeze()
        # It was off while this process started.
        gc.enable()

    def serve(self) -> tuple[int, int, int, int] | None:
        """Serve requests; return the descriptors in a forked worker, ``None`` at the end."""
        while not self._coordinator_ended:
            patience = _ORPHANS_WAIT_SECONDS if self._may_have_orphans else None
            sources = [self._requests.fileno(), self._ends]
            readable, _, _ = select.select(sources, [], [], patience)
            if not readable:
                self._may_have_orphans = end_orphans(self._reports)
            if self._ends in readable:
                self._report_ends()
            if self._requests.fileno() in readable:
                request, given = received(self._requests, 1, DESCRIPTORS_PER_WORKER)
                if not request:
                    return None
                if len(given) < DESCRIPTORS_PER_WORKER:
                    # Too many files are open here; the pool notices that the worker is missing.
                    _close(*given)
                elif self._forked(*given):
                    return given[0], given[1], given[2], given[3]
        return None

    def _end(self, _signal: int, _frame: object) -> None:
        self._coordinator_ended = True

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
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._requests.close()
        _close(self._ends, self._wakeup, reports, *self._reports.values())
        # A step that signals its process group reaches no other process, and no terminal stops it.
        os.setsid()
        _draw_own_numbers()
        end_with_parent(self._pid)

    def close(self) -> None:
        """End all workers, and all that they left behind."""
        for pid in self._reports:
            end_group(pid)
        self._reports.clear()
        for _ in range(_MOST_LOOKS):
            if not end_orphans(self._reports):
                break
            time.sleep(_ORPHANS_WAIT_SECONDS)
            self._reap()

    def _report_ends(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._ends, 4096)
        self._reap()

    def _reap(self) -> None:
        # An adopted process may have ended as well.
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG | os.WUNTRACED))[0]:
                self._reaped(*ended)

    def _reaped(self, pid: int, status: int) -> None:
        if os.WIFSTOPPED(status):
            # A step, or a terminal, has stopped it, and nothing else would continue it.
            os.kill(pid, signal.SIGCONT)
        elif pid in self._reports:
            end_group(pid)
            reports = self._reports.pop(pid)
            _report(reports, ENDED.pack(os.waitstatus_to_exitcode(status)))
            _close(reports)
            self._may_have_orphans = True


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
