"""A pool of worker processes that loses nothing when one of them dies.

Each worker has a socket of its own, so no lock is shared: the end of a socket says at once which
worker died, and what it was executing. multiprocessing's and concurrent.futures' pools, and loky,
break as a whole when one worker dies.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from typing import TYPE_CHECKING

from batchflow.chunk.serialization import read_result
from batchflow.errors import DiskFullError, ResourceError, StepCodeError
from batchflow.executor.fork_server import ForkServer
from batchflow.executor.process import WorkerProcess
from batchflow.executor.step_code import pickled, unloadable
from batchflow.worker.transport import Message, MessageKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchflow.chunk import Chunk, ChunkResult
    from batchflow.definition import AnyWorkflow
    from batchflow.executor.protocol import LostChunk

log = logging.getLogger("batchflow")

# One chunk under way and one that waits in the worker's socket, so that it never idles.
_CHUNKS_PER_WORKER = 2
_FAILED_STARTS_ALLOWED = 3
_EXIT_GRACE_SECONDS = 2.0


class ProcessPool:
    """Executes chunks in ``workers`` processes, and suspect ones in as many others at most."""

    def __init__(
        self,
        workflows: Mapping[str, AnyWorkflow],
        workers: int,
        memory_limit_bytes: int = 0,
        *,
        log_values: bool = False,
    ) -> None:
        self.workers = workers
        self._log_values = log_values
        self._workflows = workflows
        self._setup = pickled(workflows)
        self._shared: list[WorkerProcess] = []
        self._apart: list[WorkerProcess] = []
        self._fork_server = ForkServer(memory_limit_bytes)
        self._selector = selectors.DefaultSelector()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ, None)
        self._failed_starts = 0
        self._stop = False

    def start(self) -> None:
        """Start the workers that aren't there."""
        while len(self._shared) < self.workers:
            self._shared.append(self._started(_CHUNKS_PER_WORKER))

    @property
    def slots(self) -> int:
        """How many more chunks the shared workers take."""
        unstarted = self.workers - len(self._shared)
        return sum(worker.slots for worker in self._shared) + unstarted * _CHUNKS_PER_WORKER

    @property
    def expects_workers(self) -> bool:
        """False: `start` and the end of a worker start others at once, so none is awaited."""
        return False

    @property
    def suspect_slots(self) -> int:
        """How many more suspect chunks are taken: one for each worker apart."""
        return self.workers - sum(not worker.idle for worker in self._apart)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.pid for worker in self._all()]

    def submit(self, chunk: Chunk, *, suspect: bool = False) -> None:
        """Queue the chunk with the worker that has the least to do."""
        if suspect:
            worker = self._idle_apart()
        else:
            self.start()
            worker = max(self._shared, key=lambda worker: worker.slots)
        worker.give(chunk, self._timeout_seconds(chunk))

    def completed(self, timeout_seconds: float | None) -> Sequence[ChunkResult | LostChunk]:
        """Wait for results, for the end of a worker, for ``wake`` or for the time to be up."""
        done: list[ChunkResult | LostChunk] = []
        for key, _ in self._selector.select(self._patience(timeout_seconds)):
            if key.data is None:
                self._forget_wakes()
            else:
                done += self._heard_from(key.data)
        return done

    def wake(self) -> None:
        """Make a waiting ``completed`` return; from any thread or signal handler."""
        try:
            self._wake_sender.send(b"\0")
        except (BlockingIOError, OSError):
            return  # It is full of wakes, or closed: either way nobody sleeps.

    def request_stop(self, *, stop: bool) -> None:
        """Ask the steps to give back what they haven't started, or take the request back."""
        self._stop = stop
        for worker in self._all():
            worker.request_stop(stop=stop)

    def interrupt(self) -> None:
        """Do nothing: a step in another process is ended by `abandon`."""

    def abandon(self) -> None:
        """End idle workers in good order and the others at once; ``start`` begins anew."""
        workers = self._all()
        for worker in workers:
            self._selector.unregister(worker.channel)
            worker.end()
        deadline = time.monotonic() + _EXIT_GRACE_SECONDS
        for worker in workers:
            patience = deadline - time.monotonic() if worker.idle else 0.0
            if not worker.exited_within(max(0.0, patience)):
                worker.kill()
        self._shared, self._apart = [], []

    def close(self) -> None:
        """End all workers for good."""
        self.abandon()
        self._selector.close()
        self._wake_sender.close()
        self._wake_receiver.close()
        self._fork_server.close()

    def _timeout_seconds(self, chunk: Chunk) -> float | None:
        return self._workflows[chunk.workflow].steps[chunk.from_code].options.timeout_seconds

    def _all(self) -> list[WorkerProcess]:
        return self._shared + self._apart

    def _idle_apart(self) -> WorkerProcess:
        idle = next((worker for worker in self._apart if worker.idle), None)
        if idle is None:
            idle = self._started(1)
            self._apart.append(idle)
        return idle

    def _started(self, capacity: int) -> WorkerProcess:
        worker = WorkerProcess(
            self._fork_server, self._setup, capacity, log_values=self._log_values
        )
        worker.request_stop(stop=self._stop)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)
        return worker

    def _patience(self, timeout_seconds: float | None) -> float | None:
        waits = [worker.enforce_deadline() for worker in self._all()]
        known = [wait for wait in [timeout_seconds, *waits] if wait is not None]
        return min(known, default=None)

    def _forget_wakes(self) -> None:
        try:
            while self._wake_receiver.recv(4096):
                pass
        except BlockingIOError:
            return

    def _heard_from(self, worker: WorkerProcess) -> Sequence[ChunkResult | LostChunk]:
        message = worker.receive()
        if message is None:
            return self._replaced(worker)
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
                    "A worker has no room left to send its results in: make room in memory, or "
                    "raise the limit on the size of files, then run again; nothing was lost."
                )
            case _:
                culprit = unloadable(self._workflows, self._fork_server) or "the code"
                raise StepCodeError(
                    f"{culprit} can't be loaded "
                    "in a worker; correct what its module does on import, or where it is looked "
                    f"for:\n{_text(message)}"
                )
        return []

    def _replaced(self, worker: WorkerProcess) -> Sequence[LostChunk]:
        self._selector.unregister(worker.channel)
        apart = worker in self._apart
        (self._apart if apart else self._shared).remove(worker)
        cause, lost = worker.bury()
        _log_end(worker, cause, lost)
        if not apart:
            self._shared.append(self._started(_CHUNKS_PER_WORKER))
        if not worker.ready:
            self._count_failed_start(cause)
        return lost

    def _count_failed_start(self, cause: str) -> None:
        self._failed_starts += 1
        if self._failed_starts < _FAILED_STARTS_ALLOWED:
            return
        culprit = unloadable(self._workflows, self._fork_server)
        if culprit is not None:
            raise StepCodeError(
                f"no worker came up in {self._failed_starts} attempts: {cause} while it loaded "
                f"{culprit}; look at what its module does on import"
            )
        self._failed_starts = 0


def _log_end(worker: WorkerProcess, cause: str, lost: Sequence[LostChunk]) -> None:
    log.warning(
        "a worker (pid %d) is replaced: %s",
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
