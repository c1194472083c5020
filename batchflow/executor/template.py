"""The template process as its pool sees it: workers are forked from it within milliseconds.

multiprocessing's forkserver does the same, but is one for the whole interpreter, and imports the
user's ``__main__`` again.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys

from batchflow.executor.launcher import Launcher
from batchflow.worker.template import ENDED, STARTED

_BOOTSTRAP = (
    "import json, sys; sys.path[:], sys.argv[:], parent, numbers = json.loads(sys.argv[1]); "
    # First of all, as the imports take a while.
    "from batchflow.worker.parent import end_with_parent; end_with_parent(parent); "
    "from batchflow.worker.template import main; main(*numbers)"
)
_EXIT_GRACE_SECONDS = 2.0


class ForkedWorker:
    """A process forked from the template, known by the pipe that tells who it is and how it ended.

    What the template doesn't tell it never will: it ended itself, and its workers with it.
    """

    def __init__(self, told: int) -> None:
        self._told = told
        self._pid: int | None = None
        self._exit_code: int | None = None

    @property
    def pid(self) -> int | None:
        """The process's id; below 0 the number of the error that kept it from being forked.

        ``None`` where the template ended before it was forked. Waits for the template to come up.
        """
        if self._pid is None and self._told >= 0:
            told = os.read(self._told, STARTED.size)
            self._pid = STARTED.unpack(told)[0] if told else None
        return self._pid

    def exit_code(self, timeout_seconds: float) -> int | None:
        """Wait for its end; answer its exit code, as `subprocess` gives it, if it came in time."""
        if self._exit_code is None and self._tells_within(timeout_seconds):
            pid = self.pid
            told = os.read(self._told, ENDED.size) if pid is not None and pid > 0 else b""
            # With the template gone, Linux has killed it.
            self._exit_code = ENDED.unpack(told)[0] if told else -signal.SIGKILL
        return self._exit_code

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        pid = self.pid
        if pid is not None and pid > 0 and self.exit_code(0.0) is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """Let go of the pipe."""
        if self._told >= 0:
            os.close(self._told)
            self._told = -1

    def _tells_within(self, seconds: float) -> bool:
        # Who it is comes first, and at once.
        pid = self.pid
        if pid is None or pid < 0:
            return True
        return bool(select.select([self._told], [], [], max(0.0, seconds))[0])


class Template:
    """Starts the template process at the first fork, and another one where it has died."""

    def __init__(self, memory_limit_bytes: int) -> None:
        self._memory_limit_bytes = memory_limit_bytes
        self._launcher = Launcher()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def fork(self, channel: int, page: int, lifeline: int) -> ForkedWorker:
        """Have a worker forked that serves these descriptors; doesn't wait for it."""
        told, tells = os.pipe()
        descriptors = [channel, page, lifeline, tells]
        try:
            try:
                self._request(descriptors)
            except (BrokenPipeError, ConnectionResetError):
                # It has closed its files and isn't gone yet.
                self._end()
                self._request(descriptors)
        finally:
            os.close(tells)
        return ForkedWorker(told)

    def close(self) -> None:
        """End the process and the thread that started it; all workers must have ended."""
        self._end()
        self._launcher.close()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        self._requests, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            numbers = [descriptor, self._memory_limit_bytes]
            given = json.dumps([sys.path, sys.argv, os.getpid(), numbers])
            self._process = self._launcher.start(lambda: _launch(descriptor, given))

    def _request(self, descriptors: list[int]) -> None:
        self._start()
        assert self._requests is not None
        socket.send_fds(self._requests, [b"\0"], descriptors)

    def _end(self) -> None:
        if self._process is None or self._requests is None:
            return
        # Whoever was forked from this process meanwhile has the socket too.
        with contextlib.suppress(OSError):
            self._requests.shutdown(socket.SHUT_RDWR)
        self._requests.close()
        try:
            self._process.wait(_EXIT_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = self._requests = None


def _launch(requests: int, given: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _BOOTSTRAP, given],
        pass_fds=[requests],
        stdin=subprocess.DEVNULL,
        # Ctrl-C on the terminal is the coordinator's to handle.
        process_group=0,
    )
