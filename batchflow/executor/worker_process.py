"""The pool's handle of one worker process: a socket, a shared page, and the chunks it was given."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, BinaryIO

from batchflow.chunk.serialization import write_chunk
from batchflow.executor.fork_server import ForkServer
from batchflow.executor.protocol import CallUnderWay, LostChunk
from batchflow.worker.control_page import ControlPage
from batchflow.worker.log_levels import LogLevels
from batchflow.worker.memory import OUT_OF_MEMORY
from batchflow.worker.transport import (
    Message,
    MessageKind,
    anonymous_file,
    receive,
    send,
    socket_pair,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchflow.chunk import Chunk

# A step that looks at `run.stopping` has this long to return once its time is up.
_TIMEOUT_GRACE_SECONDS = 0.5
_TERMINATE_GRACE_SECONDS = 1.0
_EXIT_GRACE_SECONDS = 2.0


class WorkerProcess:
    """A started worker; it executes its chunks in the order in which it was given them."""

    def __init__(
        self, fork_server: ForkServer, setup: bytes, capacity: int, *, log_values: bool = False
    ) -> None:
        """Have it forked; it takes chunks at once and executes them when it is ready."""
        self.ready = False
        self._used = False
        self._capacity = capacity
        self._timeouts: dict[int, float | None] = {}
        self._overdue_since: float | None = None
        self.channel, theirs = socket_pair()
        lifeline, self._lifeline = os.pipe()
        with anonymous_file("batchflow-control") as page, theirs:
            self._page = ControlPage(page)
            self._process = fork_server.fork(theirs.fileno(), page.fileno(), lifeline)
        os.close(lifeline)
        self.send_log_levels(LogLevels.of_this_process())
        self._send(MessageKind.SETUP, int(log_values), lambda file: _write(file, setup))

    @property
    def pid(self) -> int:
        """The process id; 0 if the fork failed."""
        return max(0, self._process.pid or 0)

    @property
    def slots(self) -> int:
        """How many more chunks it takes."""
        return self._capacity - len(self._timeouts)

    @property
    def idle(self) -> bool:
        """Whether it has no chunk."""
        return not self._timeouts

    def give(self, chunk: Chunk, timeout_seconds: float | None) -> None:
        """Queue one chunk; a call of its step may take ``timeout_seconds``."""
        self._timeouts[chunk.chunk_id] = timeout_seconds
        self._send(MessageKind.CHUNK, chunk.chunk_id, lambda file: write_chunk(chunk, file))

    def receive(self) -> Message | None:
        """Take the next message off the socket; ``None`` if the worker has ended."""
        message = receive(self.channel)
        if message is not None and message.kind is MessageKind.RESULT:
            del self._timeouts[message.number]
            self._used = True
        return message

    def send_log_levels(self, levels: LogLevels) -> None:
        """Let it make the log records that the loggers of this process take."""
        self._send(MessageKind.LOG_LEVELS, 0, lambda file: _write(file, levels.to_bytes()))

    def request_stop(self, *, stop: bool) -> None:
        """Have its step return the runs that it hasn't started, or withdraw that request."""
        self._page.request_stop(stop=stop)

    @property
    def call(self) -> CallUnderWay | None:
        """The call of a step that is under way."""
        executing, rows = self._page.executing, self._page.rows
        return None if executing is None or not rows else CallUnderWay(executing, rows, self.pid)

    def request_surrender(self) -> None:
        """Have it send what is done of the chunk whose call is under way, and end."""
        with contextlib.suppress(OSError):
            os.write(self._lifeline, b"s")

    def enforce_deadline(self) -> float | None:
        """End a call that is past its time; return in how many seconds to check again."""
        left = self._page.seconds_to_deadline
        if self._overdue_since is not None:
            if time.monotonic() - self._overdue_since > _TERMINATE_GRACE_SECONDS:
                self._process.signal(signal.SIGKILL)
            return _TERMINATE_GRACE_SECONDS
        if left is None:
            # No call has a deadline now; one that begins now can't be overdue before this.
            return min((limit for limit in self._timeouts.values() if limit), default=None)
        if left > -_TIMEOUT_GRACE_SECONDS:
            return left + _TIMEOUT_GRACE_SECONDS
        self._overdue_since = time.monotonic()
        self._process.signal(signal.SIGTERM)
        return _TERMINATE_GRACE_SECONDS

    def account_for_end(self) -> tuple[str, list[LostChunk]]:
        """Release what is left of an ended worker; return the cause and the lost chunks."""
        cause = self._cause_of_end()
        exhausted = self._exit_code() == OUT_OF_MEMORY
        executing, rows = self._page.executing, self._page.rows
        timed_out = self._overdue_since is not None
        lost = [
            LostChunk(
                chunk_id=chunk_id,
                blamed=chunk_id == executing,
                rows=rows if chunk_id == executing else None,
                error_type="StepTimeout" if timed_out else "WorkerDied",
                cause=cause,
                exhausted=exhausted,
                used=self._used,
            )
            for chunk_id in self._timeouts
        ]
        self._close_descriptors()
        return cause, lost

    def end(self) -> None:
        """Ask it to end after the chunk under way."""
        with contextlib.suppress(OSError):
            send(self.channel, MessageKind.STOP)

    def kill(self) -> None:
        """End it now, and wait until it has ended."""
        self._process.signal(signal.SIGKILL)
        self._process.exit_code(_EXIT_GRACE_SECONDS)
        self._close_descriptors()

    def exited_within(self, seconds: float) -> bool:
        """Wait for its end; return whether it ended in time, and release what is left if so."""
        if self._process.exit_code(seconds) is None:
            return False
        self._close_descriptors()
        return True

    def _send(
        self, kind: MessageKind, number: int, write_payload: Callable[[BinaryIO], None]
    ) -> None:
        # The end of a dead worker's socket is read later, and its chunks are accounted for there.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            send(self.channel, kind, number, write_payload)

    def _exit_code(self) -> int:
        code = self._process.exit_code(_EXIT_GRACE_SECONDS)
        if code is None:
            # It has closed its socket but is still running.
            self._process.signal(signal.SIGKILL)
            code = self._process.exit_code(_EXIT_GRACE_SECONDS)
        return -signal.SIGKILL if code is None else code

    def _cause_of_end(self) -> str:
        code, pid = self._exit_code(), self._process.pid
        if self._overdue_since is not None:
            return "the step was still running past its timeout_seconds, and its worker was ended"
        if pid is not None and pid < 0:
            return f"its worker couldn't be forked ({os.strerror(-pid)})"
        if code == OUT_OF_MEMORY:
            return "its worker ran out of the memory that worker_memory_limit allows"
        if code < 0:
            return f"its worker was ended by signal {-code} ({signal.Signals(-code).name})"
        return f"its worker ended with exit code {code}"

    def _close_descriptors(self) -> None:
        self.channel.close()
        self._process.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)
