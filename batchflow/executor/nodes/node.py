"""A node: a process pool that a coordinator on another machine uses.

It has a thread that takes the coordinator's messages, gives chunks to the pool, and posts what
becomes of them. The pool alone decides which run is blamed for the end of a worker.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from batchflow.chunk import ChunkResult
from batchflow.chunk.serialization import read_chunk, write_result
from batchflow.errors import DiskFullError, EngineStateError, ResourceError, StepCodeError
from batchflow.executor.context import ExecutorContext
from batchflow.executor.nodes.envelope import Envelope, FromNode, ToNode, packed, unpacked
from batchflow.executor.nodes.node_logs import NodeLogs
from batchflow.executor.nodes.versions import differing_modules
from batchflow.executor.pool import WorkerPool
from batchflow.worker.log_levels import LogLevels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchflow.chunk import Chunk
    from batchflow.executor.protocol import LostChunk

# How often the calls under way are posted.
_CALLS_SECONDS: Final = 0.5
POOL_ERRORS: Final[Mapping[str, type[Exception]]] = {
    error.__name__: error
    for error in (DiskFullError, EngineStateError, ResourceError, StepCodeError)
}
"""The errors of a pool that end the drain."""

LONGEST_MESSAGE: Final = 100_000
"""The most characters of an error that a node sends."""

Post = Callable[[bytes], None]


class Node:
    """Executes chunks in so many worker processes.

    Args:
        workers: The number of worker processes.
        post: Sends a message to the coordinator; called from any thread, and never waits.
    """

    def __init__(self, workers: int, post: Post) -> None:
        self._workers = workers
        self._post = post
        self._inbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._pool: WorkerPool | None = None
        self._waiting: deque[tuple[Chunk, bool]] = deque()
        self._under_way = 0
        self._stop = False
        self._calls: list[list[int | None]] = []
        self._calls_at = 0.0
        self._idle_since: float | None = time.monotonic()
        self._logs = NodeLogs(lambda record: post(packed(FromNode.LOG, record)))
        self._thread = threading.Thread(target=self._serve, name="batchflow-node", daemon=True)
        self._thread.start()

    def give(self, message: bytes) -> None:
        """Handle messages of the coordinator, in this order; returns at once."""
        self._put(message)

    def end(self) -> None:
        """End all workers, and wait for that."""
        self._put(None)
        self._thread.join()

    @property
    def idle_seconds(self) -> float:
        """How long it has had no chunk."""
        since = self._idle_since
        return 0.0 if since is None else time.monotonic() - since

    def _put(self, message: bytes | None) -> None:
        self._inbox.put(message)
        pool = self._pool
        if pool is not None:
            pool.wake()

    def _serve(self) -> None:
        logging.getLogger().addHandler(self._logs)
        try:
            while self._handle_messages():
                self._work()
        except Exception:
            self._fail("NodeError", traceback.format_exc())
        finally:
            logging.getLogger().removeHandler(self._logs)
            if self._pool is not None:
                self._pool.close()

    def _handle_messages(self) -> bool:
        """Handle the messages that there are; wait for one if there is no pool yet."""
        with suppress(Empty):
            while True:
                message = self._inbox.get(block=self._pool is None)
                if message is None:
                    return False
                for envelope in unpacked(pa.py_buffer(message)):
                    self._handle(envelope)
        return True

    def _handle(self, envelope: Envelope) -> None:
        fields = envelope.fields
        match ToNode[envelope.kind]:
            case ToNode.SETUP:
                self._open(envelope)
            case ToNode.CHUNK:
                self._idle_since = None
                self._waiting.append((read_chunk(envelope.body), fields["suspect"]))
            case ToNode.STOP:
                self._stop = fields["stop"]
                if self._pool is not None:
                    self._pool.request_stop(stop=self._stop)
            case ToNode.SURRENDER:
                if self._pool is not None:
                    self._pool.request_surrender()
            case ToNode.ABANDON:
                self._abandon()
                self._post(packed(FromNode.ABANDONED, number=fields["number"]))
            case ToNode.LEVELS:
                LogLevels.from_bytes(envelope.body.to_pybytes()).apply()

    def _open(self, setup: Envelope) -> None:
        self._abandon()
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        self._stop = setup.fields["stop"]
        _extend_import_path(setup.fields["import_path"])
        differing = differing_modules(setup.fields["modules"])
        if differing:
            self._post(packed(FromNode.MISFIT, modules=differing))
            return
        try:
            context = ExecutorContext.from_bytes(setup.body.to_pybytes())
            self._pool = WorkerPool(context, self._workers)
        except BaseException:
            # The user's modules may raise anything when they are imported, and exit.
            self._fail(StepCodeError.__name__, traceback.format_exc(), loading=True)
            return
        self._pool.request_stop(stop=self._stop)

    def _work(self) -> None:
        pool = self._pool
        if pool is None:
            return
        try:
            self._submit(pool)
            done = pool.completed(_CALLS_SECONDS if self._under_way else None)
        except tuple(POOL_ERRORS.values()) as error:
            self._fail(type(error).__name__, str(error))
            self._abandon()
            return
        self._post_done(done)
        self._post_calls(pool)

    def _submit(self, pool: WorkerPool) -> None:
        # The pool takes fewer chunks after its fork server has ended.
        held = list(self._waiting)
        self._waiting.clear()
        for chunk, suspect in held:
            if (pool.suspect_slots if suspect else pool.slots) > 0:
                pool.submit(chunk, suspect=suspect)
                self._under_way += 1
            else:
                self._waiting.append((chunk, suspect))

    def _post_done(self, done: Sequence[ChunkResult | LostChunk]) -> None:
        for each in done:
            self._under_way -= 1
            message = _result(each) if isinstance(each, ChunkResult) else _lost(each)
            self._post(message)
        if done and not (self._under_way or self._waiting):
            self._idle_since = time.monotonic()

    def _post_calls(self, pool: WorkerPool) -> None:
        now = time.monotonic()
        if now - self._calls_at < _CALLS_SECONDS:
            return
        self._calls_at = now
        calls = [
            [call.chunk_id, call.rows.start, call.rows.stop, call.worker, call.from_code]
            for call in pool.calls()
        ]
        if calls != self._calls:
            self._calls = calls
            self._post(packed(FromNode.CALLS, calls=calls))

    def _abandon(self) -> None:
        self._waiting.clear()
        self._under_way = 0
        self._idle_since = time.monotonic()
        if self._pool is not None:
            self._pool.abandon()

    def _fail(self, error: str, text: str, *, loading: bool = False) -> None:
        shown = text[:LONGEST_MESSAGE]
        self._post(packed(FromNode.FAILED, error=error, text=shown, loading=loading))


def _result(result: ChunkResult) -> bytes:
    sink = pa.BufferOutputStream()
    write_result(result, sink)
    return packed(FromNode.RESULT, sink.getvalue(), chunk_id=result.chunk_id)


def _lost(lost: LostChunk) -> bytes:
    return packed(
        FromNode.LOST,
        chunk_id=lost.chunk_id,
        blamed=lost.blamed,
        rows=None if lost.rows is None else [lost.rows.start, lost.rows.stop],
        error_type=lost.error_type,
        cause=lost.cause,
        used=lost.used,
        from_code=lost.from_code,
        worker=lost.worker,
    )


def _extend_import_path(folders: Sequence[str]) -> None:
    """Find modules also in the coordinator's folders, as far as they exist here."""
    for folder in folders:
        if folder not in sys.path and Path(folder).exists():
            sys.path.append(folder)
