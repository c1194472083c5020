"""The pool's handle of one worker process: a socket, a shared page, and the chunks it was given."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from batchflow.chunk.serialization import write_chunk
from batchflow.executor.fork_server import ForkServer
from batchflow.executor.protocol import CallUnderWay, LostChunk
from batchflow.worker.control_page import ControlPage
from batchflow.worker.log_levels import LogLevels
from batchflow.worker.memory import OUT_OF_MEMORY
from batchflow.worker.transport import (
    Inlet,
    Message,
    MessageKind,
    anonymous_file,
    send,
    socket_pair,
)
from batchflow.worker.worker_name import worker_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchflow.chunk import Chunk

# A step that looks at `run.stopping` has this long to return once its time is up.
_TIMEOUT_GRACE_SECONDS = 0.5
_TERMINATE_GRACE_SECONDS = 1.0
_EXIT_GRACE_SECONDS = 2.0
# A worker begins its next chunk within microseconds, but on an overloaded machine within seconds.
_SILENCE_SECONDS = 10.0
_LOST_SOCKET_SECONDS = 1.0
_LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class WorkerEnd:
    """The end of a worker.

    Attributes:
        cause: How it ended, as a clause.
        lost: Its chunks; at most one of them is blamed.
        called: Whether a call of a step had begun in the chunk that it was executing.
        fork_server_start: The start of the fork server that ended, and the worker with it; None
            if the fork server goes on.
    """

    cause: str
    lost: tuple[LostChunk, ...]
    called: bool
    fork_server_start: int | None

    @property
    def with_fork_server(self) -> bool:
        """Whether the fork server ended, and the worker with it."""
        return self.fork_server_start is not None

    @property
    def blames(self) -> bool:
        """Whether a chunk is blamed for it."""
        return any(chunk.blamed for chunk in self.lost)


class WorkerProcess:
    """A started worker; it executes its chunks in the order in which it was given them.

    Attributes:
        ready: Whether it has loaded the workflows.
        used: Whether it has executed a chunk.
    """

    def __init__(
        self, fork_server: ForkServer, setup: bytes, capacity: int, *, log_values: bool = False
    ) -> None:
        """Have it forked; it takes chunks at once and executes them when it is ready."""
        self.ready = False
        self.used = False
        self._capacity = capacity
        self._given: dict[int, tuple[Chunk, float | None]] = {}
        self._overdue_since: float | None = None
        self._ended_for: str | None = None
        self._silent_since: tuple[int | None, float] | None = None
        # Where a limit on open files is met on the way, what was opened is closed.
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as given:
            self.channel, theirs = map(ours.enter_context, socket_pair())
            given.enter_context(theirs)
            self._inlet = Inlet(self.channel)
            lifeline, self._lifeline = os.pipe()
            given.callback(os.close, lifeline)
            ours.callback(os.close, self._lifeline)
            page = given.enter_context(anonymous_file("batchflow-control"))
            self._page = ControlPage(page)
            self._process = fork_server.fork(theirs.fileno(), page.fileno(), lifeline)
            ours.pop_all()
        self.send_log_levels(LogLevels.of_this_process())
        self._send(MessageKind.SETUP, int(log_values), lambda file: _write(file, setup))

    @property
    def pid(self) -> int:
        """The process id; 0 if the fork failed."""
        return max(0, self._process.pid or 0)

    @property
    def reports(self) -> int:
        """The descriptor that is readable once the process has started, and once it has ended."""
        return self._process.reports

    @property
    def fork_failed(self) -> bool:
        """Whether the process couldn't be created."""
        pid = self._process.pid
        return pid is not None and pid < 0

    @property
    def slots(self) -> int:
        """How many more chunks it takes."""
        return self._capacity - len(self._given)

    @property
    def idle(self) -> bool:
        """Whether it has no chunk."""
        return not self._given

    @property
    def ended(self) -> bool:
        """Whether the process has ended.

        The end of the socket doesn't show that: a process that a step started may hold it longer,
        and a step may close it earlier.
        """
        return self._process.exit_code(0.0) is not None

    @property
    def lost_socket(self) -> bool:
        """Whether no process holds the other end of the socket any more."""
        return self._inlet.ended

    def give(self, chunk: Chunk, timeout_seconds: float | None) -> None:
        """Queue one chunk; a call of its step may take ``timeout_seconds``."""
        self._given[chunk.chunk_id] = chunk, timeout_seconds
        self._send(MessageKind.CHUNK, chunk.chunk_id, lambda file: write_chunk(chunk, file))

    def receive(self) -> Message | None:
        """Take the next message off the socket; ``None`` if none has arrived.

        Raises:
            InvalidMessageError: The worker sent something else.
        """
        return self._inlet.next()

    def await_message(self) -> Message | None:
        """Wait for the next message; ``None`` if the worker ends without one."""
        ended = False
        while not ended:
            ended = self._process.exit_code(_LOOK_SECONDS) is not None or self._inlet.ended
            if (message := self.receive()) is not None:
                return message
        return None

    @property
    def due(self) -> Chunk | None:
        """The chunk whose result it sends next."""
        return next((chunk for chunk, _ in self._given.values()), None)

    def take_result(self) -> None:
        """Record that it has sent the result that is due."""
        del self._given[next(iter(self._given))]
        self.used = True

    def send_log_levels(self, levels: LogLevels) -> None:
        """Let it make the log records that the loggers of this process take."""
        self._send(MessageKind.LOG_LEVELS, 0, lambda file: _write(file, levels.to_bytes()))

    def request_stop(self, *, stop: bool) -> None:
        """Have its step return the runs that it hasn't started, or withdraw that request."""
        self._page.request_stop(stop=stop)

    @property
    def call(self) -> CallUnderWay | None:
        """The call of a step that is under way."""
        executing = self._page.executing
        rows = None if executing is None else self._rows_within(executing)
        if executing is None or not rows:
            return None
        return CallUnderWay(executing, rows, self.pid, self._page.code)

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
            return min((limit for _, limit in self._given.values() if limit), default=None)
        if left > -_TIMEOUT_GRACE_SECONDS:
            return left + _TIMEOUT_GRACE_SECONDS
        self._overdue_since = time.monotonic()
        self._process.signal(signal.SIGTERM)
        return _TERMINATE_GRACE_SECONDS

    def end_if_silent(self) -> None:
        """End it if it can't be reached, or executes nothing although it has a chunk."""
        due = None if self.due is None else self.due.chunk_id
        is_silent = due is not None and self.ready and self._page.between_chunks
        if not is_silent and not self.lost_socket:
            self._silent_since = None
        elif self._silent_since is None or self._silent_since[0] != due:
            self._silent_since = due, time.monotonic()
        elif time.monotonic() - self._silent_since[1] > self._most_silence:
            what = "closed its socket" if self.lost_socket else "sent no result and took no chunk"
            self.end_for(f"its worker {what}, so its step broke it, and it was ended")

    @property
    def _most_silence(self) -> float:
        return _LOST_SOCKET_SECONDS if self.lost_socket else _SILENCE_SECONDS

    def end_for(self, cause: str) -> None:
        """End it now; its end is accounted for later, with this cause."""
        self._ended_for = cause
        self._process.signal(signal.SIGKILL)

    def account_for_end(self, *, alone: bool) -> WorkerEnd:
        """Release what is left of an ended worker, and find out which call may have ended it.

        Args:
            alone: Whether no other worker had a chunk. Only then a call can be blamed for the end
                of the fork server, with which all workers end.
        """
        cause = self._cause_of_end()
        with_fork_server = self._process.orphaned
        blamed = self._begun() if self._page.called and (alone or not with_fork_server) else None
        lost = tuple(self._lost(chunk_id, cause, blamed) for chunk_id in self._given)
        self._close_descriptors()
        start = self._process.fork_server_start if with_fork_server else None
        return WorkerEnd(cause, lost, self._page.called, start)

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

    @property
    def ended_with_fork_server(self) -> bool:
        """Whether it is known that the fork server ended, and the worker with it."""
        return self._process.orphaned

    def _begun(self) -> int | None:
        """Return the id of the first chunk that it has begun and not answered."""
        begun = self._page.executing in self._given
        return next(iter(self._given)) if begun else None

    def _lost(self, chunk_id: int, cause: str, blamed: int | None) -> LostChunk:
        # If it has gone on to the next chunk, the rows are those of the next chunk.
        knows_rows = chunk_id == blamed == self._page.executing
        return LostChunk(
            chunk_id=chunk_id,
            blamed=chunk_id == blamed,
            rows=self._rows_within(chunk_id) if knows_rows else None,
            error_type="StepTimeout" if self._overdue_since is not None else "WorkerDied",
            cause=cause,
            used=self.used,
            from_code=self._page.code if chunk_id == blamed == self._page.executing else None,
            worker=worker_name(self.pid),
        )

    def _rows_within(self, chunk_id: int) -> range | None:
        rows, given = self._page.rows, self._given.get(chunk_id)
        if rows is None or given is None or rows.stop > given[0].num_rows:
            return None
        return rows

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
        if self._process.orphaned:
            return "the fork server, the process that starts workers, ended, and its worker with it"
        return self._ended_for or _cause_of(code, self._page.failure)

    def _close_descriptors(self) -> None:
        self._inlet.close()
        self.channel.close()
        self._process.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def _cause_of(code: int, failure: str) -> str:
    if code == OUT_OF_MEMORY:
        return "its worker ran out of the memory that worker_memory_limit allows"
    if code < 0:
        return f"its worker was ended by signal {-code} ({_signal_name(-code)})"
    reason = f" ({failure}), because its step broke something that it needs" if failure else ""
    return f"its worker ended with exit code {code}{reason}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a real-time signal"


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)
