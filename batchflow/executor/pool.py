"""A pool of worker processes that loses nothing when one of them dies.

Each worker has its own socket, so no lock is shared. The fork server reports at once which worker
died, and a shared page shows what it was executing. The pools of multiprocessing and
concurrent.futures, and loky, break as a whole when one worker dies.

Steps share their process with the worker, so whatever arrives from it is checked like input from
outside. A worker that sends something else is ended, and its step blamed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import selectors
import socket
import time
from typing import TYPE_CHECKING, assert_never

from batchflow.chunk.result_check import InvalidResultError, checked_result
from batchflow.errors import DiskFullError, EngineStateError, ResourceError, StepCodeError
from batchflow.executor.ends import Ends
from batchflow.executor.fork_server import ForkServer
from batchflow.executor.step_code import SentCode, log_replaced, unloadable
from batchflow.executor.worker_process import WorkerEnd, WorkerProcess
from batchflow.worker.log_levels import LogLevels
from batchflow.worker.transport import InvalidMessageError, Message, MessageKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchflow.chunk import Chunk, ChunkResult
    from batchflow.executor.context import ExecutorContext
    from batchflow.executor.protocol import CallUnderWay, LostChunk

log = logging.getLogger("batchflow")

# One chunk is under way and one waits in the worker's socket, so the worker never idles.
_CHUNKS_PER_WORKER = 2
# A single run needs a new worker, beside those that were used.
_ISOLATED_PER_WORKER = 2
_FAILED_STARTS_ALLOWED = 3
# The errors of limits on open files and memory.
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_EXIT_GRACE_SECONDS = 2.0
# How often the pool looks after workers that are silent, while they have chunks.
_LOOK_SECONDS = 0.5


class WorkerPool:
    """Executes chunks in ``workers`` processes, and as many suspect ones in others at most.

    Args:
        context: The workflows, and the limits of their steps.
        workers: The number of processes.
        beside: Another pool of this process, whose fork server may fork the workers.
    """

    def __init__(
        self, context: ExecutorContext, workers: int, beside: WorkerPool | None = None
    ) -> None:
        self.workers = workers
        self._context = context
        self._code = SentCode(context.workflows)
        self._shared: list[WorkerProcess] = []
        self._isolated: list[WorkerProcess] = []
        self._fork_server: ForkServer = ForkServer(
            context.worker_memory_bytes(workers),
            self._code.uses_loop,
            None if beside is None else beside._fork_server,
        )
        self._selector = selectors.DefaultSelector()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ, None)
        self._ends = Ends()
        self._looked_at = 0.0
        self._stop = False
        self._log_levels = LogLevels.of_this_process()

    def start(self) -> None:
        """Start the missing workers."""
        if self._is_idle():
            self._update()
        while len(self._shared) < self.workers:
            self._shared.append(self._started(_CHUNKS_PER_WORKER))

    def warm_up(self) -> None:
        """Start the fork server, without waiting for it; callable from any thread."""
        self._fork_server.start()

    def _is_idle(self) -> bool:
        return all(worker.idle for worker in self._all())

    def _update(self) -> None:
        """Give workers the levels of loggers and the code of this process, if they have changed."""
        levels = LogLevels.of_this_process()
        if levels != self._log_levels:
            self._log_levels = levels
            for worker in self._all():
                worker.send_log_levels(levels)
        if redefined := self._code.redefined():
            self._code = SentCode(self._context.workflows)
            self.abandon()
            log_replaced(redefined)

    @property
    def slots(self) -> int:
        """How many more chunks the shared workers take."""
        if self._ends.one_chunk_at_a_time:
            return int(self._is_idle())
        unstarted = self.workers - len(self._shared)
        return sum(worker.slots for worker in self._shared) + unstarted * _CHUNKS_PER_WORKER

    @property
    def expects_workers(self) -> bool:
        """False: the pool starts and replaces workers at once, and counts their slots before."""
        return False

    @property
    def suspect_slots(self) -> int:
        """How many more suspect chunks are taken: one for each isolated worker."""
        if self._ends.one_suspect_at_a_time:
            return int(self._is_idle())
        return self.workers - sum(not worker.idle for worker in self._isolated)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.pid for worker in self._all()]

    def submit(self, chunk: Chunk, *, suspect: bool = False) -> None:
        """Give the chunk to the worker with the most free slots."""
        if suspect:
            worker = self._isolated_for(chunk)
        else:
            self.start()
            worker = max(self._shared, key=lambda worker: worker.slots)
        worker.give(chunk, self._context.timeout_seconds(chunk))

    def completed(self, timeout_seconds: float | None) -> Sequence[ChunkResult | LostChunk]:
        """Wait for results, the end of a worker, a call of `wake` or the end of the time."""
        done: list[ChunkResult | LostChunk] = []
        for key, _ in self._selector.select(self._longest_wait(timeout_seconds)):
            if key.data is None:
                self._drop_wakes()
            elif key.data in self._all():
                done += self._news_of(key.data)
        self._look_after_silent_workers()
        if done and self._is_idle():
            # A drain may end with this, and its log records belong before its end.
            self._fork_server.logs.catch_up()
        return done

    def wake(self) -> None:
        """Make a waiting `completed` return; callable from any thread or signal handler."""
        try:
            self._wake_sender.send(b"\0")
        except (BlockingIOError, OSError):
            return  # The socket is full of wakes, or closed: no call of `completed` sleeps.

    def request_stop(self, *, stop: bool) -> None:
        """Request that steps return the runs they haven't started, or withdraw the request."""
        self._stop = stop
        for worker in self._all():
            worker.request_stop(stop=stop)

    def interrupt(self) -> None:
        """Do nothing: `abandon` ends a step in another process."""

    def calls(self) -> Sequence[CallUnderWay]:
        """Return the calls under way; callable from any thread."""
        return [call for worker in self._all() if (call := worker.call) is not None]

    def request_surrender(self) -> None:
        """Request what is done of the chunks whose call hasn't returned."""
        for worker in self._all():
            if worker.call is not None:
                worker.request_surrender()

    def abandon(self) -> None:
        """End idle workers gracefully and the others at once; `start` begins anew."""
        workers = self._all()
        for worker in workers:
            self._unregister(worker.channel, worker.reports)
            worker.end()
        deadline = time.monotonic() + _EXIT_GRACE_SECONDS
        for worker in workers:
            grace = deadline - time.monotonic() if worker.idle else 0.0
            if not worker.exited_within(max(0.0, grace)):
                worker.kill()
        self._shared, self._isolated = [], []

    def close(self) -> None:
        """End all workers for good."""
        self.abandon()
        self._selector.close()
        self._wake_sender.close()
        self._wake_receiver.close()
        self._fork_server.close()

    def _all(self) -> list[WorkerProcess]:
        return self._shared + self._isolated

    def _isolated_for(self, chunk: Chunk) -> WorkerProcess:
        """Return an idle isolated worker: a new one for a single run, if there is room for one.

        The end of a worker proves that the run ended it only if no call was before.
        """
        has_room = len(self._isolated) < _ISOLATED_PER_WORKER * self.workers
        wants_new = has_room and chunk.rows.num_rows == 1
        for worker in self._isolated:
            if worker.idle and not (worker.used and wants_new):
                return worker
        self._isolated.append(self._started(1))
        return self._isolated[-1]

    def _started(self, capacity: int) -> WorkerProcess:
        try:
            worker = WorkerProcess(
                self._fork_server, self._code.data, capacity, log_values=self._context.log_values
            )
        except OSError as error:
            if error.errno not in _LIMITS:
                raise
            raise EngineStateError(
                f"A worker can't be started: {error.strerror}. Raise this limit of the process "
                '(see "ulimit -a"), or use fewer workers.'
            ) from error
        worker.request_stop(stop=self._stop)
        for source in (worker.channel, worker.reports):
            self._selector.register(source, selectors.EVENT_READ, worker)
        return worker

    def _unregister(self, *sources: socket.socket | int) -> None:
        for source in sources:
            # The channel of a worker that has lost its socket isn't registered any more.
            with contextlib.suppress(KeyError):
                self._selector.unregister(source)

    def _longest_wait(self, timeout_seconds: float | None) -> float | None:
        waits = [worker.enforce_deadline() for worker in self._all()]
        if not self._is_idle() or any(worker.lost_socket for worker in self._all()):
            waits.append(_LOOK_SECONDS)
        known = [wait for wait in [timeout_seconds, *waits] if wait is not None]
        return min(known, default=None)

    def _drop_wakes(self) -> None:
        try:
            while self._wake_receiver.recv(4096):
                pass
        except BlockingIOError:
            return

    def _look_after_silent_workers(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        self._fork_server.keep_running()
        for worker in self._all():
            worker.end_if_silent()

    def _news_of(self, worker: WorkerProcess) -> Sequence[ChunkResult | LostChunk]:
        done: list[ChunkResult | LostChunk] = []
        # All that an ended worker has sent is in its socket, so its end is looked for first.
        ended = worker.ended
        try:
            while (message := worker.receive()) is not None:
                done += self._handle_message(worker, message)
        except InvalidMessageError as error:
            worker.end_for(f"its worker was ended because it sent {error}")
            ended = True
        if ended or worker.ended:
            done += self._replace(worker)
        elif worker.lost_socket:
            # It is about to end, or else it is ended for its silence.
            self._unregister(worker.channel)
        return done

    def _handle_message(self, worker: WorkerProcess, message: Message) -> Sequence[ChunkResult]:
        match message.kind:
            case MessageKind.READY:
                worker.ready = True
                self._ends.started()
            case MessageKind.RESULT:
                return [self._result(worker, message)]
            case MessageKind.RESOURCE_FAILED:
                raise ResourceError(_text(message))
            case MessageKind.NO_ROOM:
                # The next workers have the limits that this process has then.
                self._fork_server.end()
                raise DiskFullError(
                    "A worker has no room left for its results. Make room in memory, or raise the "
                    "limit on the size of files, then run again; nothing was lost."
                )
            case MessageKind.CODE_FAILED:
                culprit = unloadable(self._context.workflows, self._fork_server) or "a workflow"
                raise StepCodeError(
                    f"The code of {culprit} can't be loaded in a worker; correct what its module "
                    f"does on import, or the path that it is imported from:\n{_text(message)}"
                )
            case (
                MessageKind.SETUP
                | MessageKind.CHUNK
                | MessageKind.STOP
                | MessageKind.LOG_LEVELS
                | MessageKind.ENVELOPE
            ):
                raise InvalidMessageError(f"a message of the kind {message.kind.name}")
            case _:
                assert_never(message.kind)
        return []

    def _result(self, worker: WorkerProcess, message: Message) -> ChunkResult:
        chunk = worker.due
        if chunk is None or message.payload is None:
            raise InvalidMessageError("a result without a chunk")
        workflow = self._context.workflows[chunk.workflow]
        try:
            result = checked_result(message.payload, chunk, workflow)
        except InvalidResultError as error:
            raise InvalidMessageError(str(error)) from error
        worker.take_result()
        self._ends.result()
        return result

    def _replace(self, worker: WorkerProcess) -> Sequence[LostChunk]:
        self._unregister(worker.channel, worker.reports)
        isolated = worker in self._isolated
        (self._isolated if isolated else self._shared).remove(worker)
        end = worker.account_for_end(alone=self._is_idle())
        _log_end(worker, end)
        if not isolated and not self._stop:
            self._shared.append(self._started(_CHUNKS_PER_WORKER))
        self._ends.ended(end, ready=worker.ready)
        if self._ends.failed_starts >= _FAILED_STARTS_ALLOWED:
            self._require_forks(worker, end)
            self._require_loadable(end)
        self._ends.require_few()
        return end.lost

    def _require_forks(self, worker: WorkerProcess, end: WorkerEnd) -> None:
        if worker.fork_failed:
            raise EngineStateError(
                f"No worker started in {self._ends.failed_starts} attempts: {end.cause}. Raise the "
                'limit on processes or memory (see "ulimit -a"), or use fewer workers.'
            )

    def _require_loadable(self, end: WorkerEnd) -> None:
        attempts = self._ends.failed_starts
        culprit = unloadable(self._context.workflows, self._fork_server)
        if culprit is not None:
            raise StepCodeError(
                f"No worker started in {attempts} attempts: {end.cause} while it loaded "
                f"the code of {culprit}; look at what its module does on import."
            )
        self._ends.started()


def _log_end(worker: WorkerProcess, end: WorkerEnd) -> None:
    log.warning(
        "A worker (pid %d) is replaced: %s.",
        worker.pid,
        end.cause,
        extra={
            "action": "replace_worker",
            "pid": worker.pid,
            "cause": end.cause,
            "lost_chunks": len(end.lost),
        },
    )


def _text(message: Message) -> str:
    return message.payload.to_pybytes().decode("utf-8", "replace") if message.payload else ""
