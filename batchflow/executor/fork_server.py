"""The pool's handle of the fork server, the process that forks workers within milliseconds.

The forkserver of multiprocessing does the same, but the whole interpreter shares one, and it
imports the user's ``__main__`` again.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from batchflow.executor.import_path import import_path
from batchflow.executor.launcher import Launcher
from batchflow.executor.worker_logs import WorkerLog, WorkerLogs
from batchflow.worker.fork_server_main import ENDED, STARTED
from batchflow.worker.leftovers import end_group
from batchflow.worker.transport import socket_pair

_BOOTSTRAP = (
    # All that is imported stays, so the garbage collector would look through it in vain.
    "import gc, json, sys; gc.disable(); "
    "sys.path[:], sys.argv[:], parent, numbers = json.loads(sys.argv[1]); "
    # This comes first because the other imports take a while.
    "from batchflow.worker.parent import end_with_parent; end_with_parent(parent); "
    "from batchflow.worker.fork_server_main import main; main(*numbers)"
)
_EXIT_GRACE_SECONDS = 2.0
_UNANSWERED_SECONDS = 0.25
_MOST_STARTS = 3


class ForkedWorker:
    """A process forked by the fork server, which reports its id and its exit code through a pipe.

    If the pipe closes without a report, the fork server has ended, and its workers with it.

    Attributes:
        reports: The pipe; it is readable when there is news of the process.
        orphaned: Whether the fork server is known to have ended before the process.
        fork_server_start: Which start of the fork server it is from; see `ForkServer.starts`.
    """

    def __init__(self, reports: int, fork_server: ForkServer, log: WorkerLog) -> None:
        self.reports = reports
        self.fork_server_start = fork_server.starts
        self.orphaned = False
        self._lock = threading.Lock()
        self._fork_server = fork_server
        self._log = log
        self._pid: int | None = None
        self._exit_code: int | None = None

    @property
    def pid(self) -> int | None:
        """The process id; a negative errno if the fork failed.

        ``None`` if the fork server ended before the fork. Waits for the fork server to start.
        """
        # Other threads ask for the process id as well.
        with self._lock:
            if self._pid is None and self.reports >= 0:
                while not self._reports_within(_UNANSWERED_SECONDS):
                    self._fork_server.keep_running()
                report = os.read(self.reports, STARTED.size)
                self._pid = STARTED.unpack(report)[0] if report else None
            return self._pid

    def exit_code(self, timeout_seconds: float) -> int | None:
        """Wait for the process to end; return its exit code, or None if it is still running.

        The exit code is as in `subprocess`: a negative number is a signal.
        """
        if self._exit_code is None and self._ends_within(timeout_seconds):
            pid = self.pid
            report = os.read(self.reports, ENDED.size) if pid is not None and pid > 0 else b""
            self._exit_code = ENDED.unpack(report)[0] if report else -signal.SIGKILL
            self.orphaned = not report and (pid is None or pid > 0)
            if self.orphaned and pid is not None:
                # Linux kills the worker with the fork server, but not what the worker started.
                end_group(pid)
        return self._exit_code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, unless it has ended."""
        pid = self.pid
        if pid is not None and pid > 0 and self.exit_code(0.0) is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """Handle the last log records of the process, and close the pipes."""
        self._fork_server.logs.remove(self._log)
        if self.reports >= 0:
            os.close(self.reports)
            self.reports = -1

    def _ends_within(self, seconds: float) -> bool:
        # The process id is the first report, and it comes at once.
        pid = self.pid
        if pid is None or pid < 0:
            return True
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > _UNANSWERED_SECONDS:
            if self._reports_within(_UNANSWERED_SECONDS):
                return True
            self._fork_server.keep_running()
        return self._reports_within(left)

    def _reports_within(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.reports, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1_000))


@dataclass(frozen=True)
class Surroundings:
    """The settings of a process that the fork server takes over at its start, and each worker."""

    import_path: list[str]
    argv: list[str]
    environment: dict[str, str]
    folder: str | None
    largest_file: tuple[int, int]
    memory_limit_bytes: int

    @classmethod
    def of_this_process(cls, memory_limit_bytes: int) -> Surroundings:
        """Return those of a fork server that is started now."""
        folder: str | None = None
        # The working directory may have been removed.
        with contextlib.suppress(FileNotFoundError):
            folder = os.getcwd()
        return cls(
            import_path=import_path(),
            argv=list(sys.argv),
            environment=dict(os.environ),
            folder=folder,
            largest_file=resource.getrlimit(resource.RLIMIT_FSIZE),
            memory_limit_bytes=memory_limit_bytes,
        )


class ForkServer:
    """Start the fork server at the first fork, and start another one if it has died.

    Args:
        memory_limit_bytes: The memory that each worker may allocate.
        uses_loop: Whether the workers need asyncio.
        lender: That of another pool, whose process forks the workers as long as it runs and is as
            this one would be; to start a process takes as long as some rehearsals.

    Attributes:
        logs: The log records of the workers.
        starts: How often it was started.
    """

    def __init__(
        self, memory_limit_bytes: int, uses_loop: bool, lender: ForkServer | None = None
    ) -> None:
        self.logs = WorkerLogs()
        self.starts = 0
        self._memory_limit_bytes = memory_limit_bytes
        self._uses_loop = uses_loop
        self._launcher = Launcher()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._surroundings: Surroundings | None = None
        self._starting = threading.RLock()
        self._closed = False
        self._using_requests = threading.Lock()
        self._lender = lender
        self._borrowed: subprocess.Popen[bytes] | None = None

    def fork(self, channel: int, page: int, lifeline: int) -> ForkedWorker:
        """Request a worker that serves these descriptors, without waiting for it."""
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as given:
            log, log_to = self.logs.open()
            ours.callback(self.logs.remove, log)
            given.callback(os.close, log_to)
            reports, report_to = os.pipe()
            ours.callback(os.close, reports)
            given.callback(os.close, report_to)
            # If all of these end, so does the worker's pipe, as if it had ended by itself.
            for _ in range(_MOST_STARTS):
                if self._requested([channel, page, lifeline, log_to, report_to]):
                    break
            ours.pop_all()
        return ForkedWorker(reports, self, log)

    def start(self) -> None:
        """Start the process if it isn't running, without waiting for it; nothing after `close`.

        Any thread may call it.
        """
        with self._starting:
            if not self._closed:
                self._start()

    def keep_running(self) -> None:
        """Continue the process if a signal has stopped it; nothing else would."""
        process = self._process or self._borrowed
        if process is not None:
            process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process and the thread that started it; all workers must have ended."""
        with self._starting:
            self._closed = True
            self.end()
        self._launcher.close()
        self.logs.close()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.end()
        self._requests, theirs = socket_pair()
        with theirs:
            descriptor = theirs.fileno()
            numbers = [descriptor, self._memory_limit_bytes, self._uses_loop]
            self._surroundings = Surroundings.of_this_process(self._memory_limit_bytes)
            path, argv = self._surroundings.import_path, self._surroundings.argv
            arguments = json.dumps([path, argv, os.getpid(), numbers])
            self.starts += 1
            self._process = self._launcher.start(lambda: _launch(descriptor, arguments))

    def _requested(self, descriptors: list[int]) -> bool:
        if self._lender is not None:
            if self._lender._lends(self, descriptors):
                return True
            self._lender = self._borrowed = None
        self.start()
        if not self._sent(descriptors):
            # The fork server has closed its files and is about to end.
            self.end()
            return False
        return True

    def _lends(self, other: ForkServer, descriptors: list[int]) -> bool:
        """Request a worker for another pool, from the process that forked all of its workers."""
        process = self._process
        lent_before = other._borrowed in (None, process)
        if process is None or process.poll() is not None or not lent_before:
            return False
        if self._surroundings != Surroundings.of_this_process(other._memory_limit_bytes):
            return False
        other._borrowed = process
        return self._sent(descriptors)

    def _sent(self, descriptors: list[int]) -> bool:
        # The thread of another pool may be about to close the socket, or to send through it.
        with self._using_requests:
            if self._requests is None:
                return False
            try:
                socket.send_fds(self._requests, [b"\0"], descriptors)
            except (BrokenPipeError, ConnectionResetError):
                return False
            return True

    def end(self) -> None:
        """End the process, and with it its workers; the next fork starts another one.

        That of a lender goes on.
        """
        with self._starting:
            self._end()

    def _end(self) -> None:
        self._lender = self._borrowed = None
        if self._process is None or self._requests is None:
            return
        with self._using_requests:
            # A process that was forked meanwhile from this one holds the socket too.
            with contextlib.suppress(OSError):
                self._requests.shutdown(socket.SHUT_RDWR)
            self._requests.close()
            self._requests = None
        self.keep_running()
        try:
            self._process.wait(_EXIT_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _launch(requests: int, arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _BOOTSTRAP, arguments],
        pass_fds=[requests],
        stdin=subprocess.DEVNULL,
        # The coordinator handles Ctrl-C on the terminal.
        process_group=0,
    )
