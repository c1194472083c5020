"""A pool of worker processes that loses nothing when one of them dies.

Each worker has its own socket, so no lock is shared. The end of a socket shows at once which worker
died, and a shared page shows what it was executing. The pools of multiprocessing and
concurrent.futures, and loky, break as a whole when one worker dies.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from typing import TYPE_CHECKING, assert_never

from batchflow.chunk.serialization import read_result
from batchflow.errors import DiskFullError, ResourceError, StepCodeError
from batchflow.executor.fork_server import ForkServer
from batchflow.executor.step_code import SentCode, unloadable
from batchflow.executor.worker_process import WorkerProcess
from batchflow.worker.log_levels import LogLevels
from batchflow.worker.transport import Message, MessageKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchflow.chunk import Chunk, ChunkResult
    from batchflow.executor.context import ExecutorContext
    from batchflow.executor.protocol import CallUnderWay, LostChunk

log = logging.getLogger("batchflow")

# One chunk is under way and one waits in the worker's socket, so the worker never idles.
_CHUNKS_PER_WORKER = 2
_FAILED_STARTS_ALLOWED = 3
_EXIT_GRACE_SECONDS = 2.0


class WorkerPool:
    """Executes chunks in ``workers`` processes, and suspect ones in as many others at most."""

    def __init__(self, context: ExecutorContext, workers: int) -> None:
        self.workers = workers
        self._context = context
        self._code = SentCode(context.workflows)
        self._shared: list[WorkerProcess] = []
        self._isolated: list[WorkerProcess] = []
        self._fork_server = ForkServer(context.worker_memory_bytes(workers))
        self._selector = selectors.DefaultSelector()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ, None)
        self._failed_starts = 0
        self._stop = False
        self._log_levels = LogLevels.of_this_process()

    def start(self) -> None:
        """Start the missing workers."""
        if self._is_idle():
            self._update()
        while len(self._shared) < self.workers:
            self._shared.append(self._started(_CHUNKS_PER_WORKER))

    def _is_idle(self) -> bool:
        return all(worker.idle for worker in self._all())

    def _update(self) -> None:
        """Give workers the levels of loggers and the code of this process, if they have changed."""
        levels = LogLevels.of_this_process()
        if levels != self._log_levels:
            self._log_levels = levels
            for worker in self._all():
                worker.send_log_levels(levels)
        redefined = self._code.redefined()
        if not redefined:
            return
        self._code = SentCode(self._context.workflows)
        self.abandon()
        log.info(
            "Workers are started again, because this was redefined: %s.",
            ", ".join(redefined),
            extra={"action": "replace_code", "names": redefined},
        )

    @property
    def slots(self) -> int:
        """How many more chunks the shared workers take."""
        unstarted = self.workers - len(self._shared)
        return sum(worker.slots for worker in self._shared) + unstarted * _CHUNKS_PER_WORKER

    @property
    def expects_workers(self) -> bool:
        """False: the pool starts and replaces workers at once, and counts their slots before."""
        return False

    @property
    def suspect_slots(self) -> int:
        """How many more suspect chunks are taken: one for each isolated worker."""
        return self.workers - sum(not worker.idle for worker in self._isolated)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.pid for worker in self._all()]

    def submit(self, chunk: Chunk, *, suspect: bool = False) -> None:
        """Give the chunk to the worker with the most free slots."""
        if suspect:
            worker = self._idle_isolated()
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
            else:
                done += self._handle_message(key.data)
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
            self._selector.unregister(worker.channel)
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

    def _idle_isolated(self) -> WorkerProcess:
        idle = next((worker for worker in self._isolated if worker.idle), None)
        if idle is None:
            idle = self._started(1)
            self._isolated.append(idle)
        return idle

    def _started(self, capacity: int) -> WorkerProcess:
        worker = WorkerProcess(
            self._fork_server, self._code.data, capacity, log_values=self._context.log_values
        )
        worker.request_stop(stop=self._stop)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)
        return worker

    def _longest_wait(self, timeout_seconds: float | None) -> float | None:
        waits = [worker.enforce_deadline() for worker in self._all()]
        known = [wait for wait in [timeout_seconds, *waits] if wait is not None]
        return min(known, default=None)

    def _drop_wakes(self) -> None:
        try:
            while self._wake_receiver.recv(4096):
                pass
        except BlockingIOError:
            return

    def _handle_message(self, worker: WorkerProcess) -> Sequence[ChunkResult | LostChunk]:
        message = worker.receive()
        if message is None:
            return self._replace(worker)
        match message.kind:
            case MessageKind.READY:
                worker.ready, self._failed_starts = True, 0
            case MessageKind.RESULT:
                assert message.payload is not None
                return [read_result(message.payload)]
            case MessageKind.RESOURCE_FAILED:
                raise ResourceError(_text(message))
            case MessageKind.NO_ROOM:
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
            case MessageKind.SETUP | MessageKind.CHUNK | MessageKind.STOP | MessageKind.LOG_LEVELS:
                raise AssertionError(f"A worker never sends {message.kind.name}.")
            case _:
                assert_never(message.kind)
        return []

    def _replace(self, worker: WorkerProcess) -> Sequence[LostChunk]:
        self._selector.unregister(worker.channel)
        isolated = worker in self._isolated
        (self._isolated if isolated else self._shared).remove(worker)
        cause, lost = worker.account_for_end()
        _log_end(worker, cause, lost)
        if not isolated and not self._stop:
            self._shared.append(self._started(_CHUNKS_PER_WORKER))
        if not worker.ready:
            self._count_failed_start(cause)
        return lost

    def _count_failed_start(self, cause: str) -> None:
        self._failed_starts += 1
        if self._failed_starts < _FAILED_STARTS_ALLOWED:
            return
        culprit = unloadable(self._context.workflows, self._fork_server)
        if culprit is not None:
            raise StepCodeError(
                f"No worker started in {self._failed_starts} attempts: {cause} while it loaded "
                f"the code of {culprit}; look at what its module does on import."
            )
        self._failed_starts = 0


def _log_end(worker: WorkerProcess, cause: str, lost: Sequence[LostChunk]) -> None:
    log.warning(
        "A worker (pid %d) is replaced: %s.",
        worker.pid,
        cause,
        extra={
            "action": "replace_worker",
            "pid": worker.pid,
            "cause": cause,
            "lost_chunks": len(lost),
        },
    )


def _text(message: Message) -> str:
    return message.payload.to_pybytes().decode() if message.payload else ""
