"""A small executor whose workers, threads of this process, appear, leave and come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence, Set
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import ClassVar

import batchflow as bf
from batchflow.executor import Capability

Done = bf.ChunkResult | bf.LostChunk


@dataclass(frozen=True)
class VaryingThreads:
    """Threads that come and go: none at first, and some expected."""

    capabilities: ClassVar[Set[Capability]] = frozenset({Capability.VARIES_WORKERS})

    def open(self, context: bf.ExecutorContext) -> VaryingExecutor:
        return VaryingExecutor(context)


class ThreadWorker:
    """One thread that executes one chunk at a time."""

    def __init__(self, executor: VaryingExecutor, context: bf.ExecutorContext) -> None:
        self.chunk: bf.Chunk | None = None
        self.gone = False
        self.inline = bf.Inline().open(context)
        self._executor = executor
        self._chunks: SimpleQueue[bf.Chunk | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def give(self, chunk: bf.Chunk) -> None:
        self.chunk = chunk
        self._chunks.put(chunk)

    def leave(self) -> None:
        self.gone = True
        self.inline.request_stop(stop=True)
        self._chunks.put(None)

    def await_end(self) -> None:
        self._thread.join()

    def _serve(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            try:
                self.inline.submit(chunk)
                [done] = self.inline.completed(0.0)
                self._executor.finished(self, done)
            except bf.BatchflowError as error:
                self._executor.finished(self, error)
        self.inline.close()


class VaryingExecutor:
    """Executes chunks in the threads that there are."""

    def __init__(self, context: bf.ExecutorContext) -> None:
        self._context = context
        self._workers: list[ThreadWorker] = []
        self._lock = threading.RLock()
        self._expects_workers, self._stop = True, False
        self._news: SimpleQueue[Done | bf.BatchflowError | None] = SimpleQueue()

    # The protocol.

    @property
    def workers(self) -> int:
        return len(self._workers)

    @property
    def slots(self) -> int:
        with self._lock:
            return sum(worker.chunk is None for worker in self._workers)

    suspect_slots = slots

    @property
    def expects_workers(self) -> bool:
        return self._expects_workers

    def start(self) -> None:
        pass

    def submit(self, chunk: bf.Chunk, *, suspect: bool = False) -> None:  # noqa: ARG002 - threads
        with self._lock:
            free = [worker for worker in self._workers if worker.chunk is None]
            if free:
                free[0].give(chunk)
                return
        # The worker has left since its slot was seen.
        self._news.put(lost(chunk))

    def completed(self, timeout_seconds: float | None) -> Sequence[Done]:
        done: list[Done] = []
        try:
            item = self._news.get(timeout=timeout_seconds)
            while True:
                if isinstance(item, bf.BatchflowError):
                    raise item
                done += [] if item is None else [item]
                item = self._news.get_nowait()
        except Empty:
            return done

    def wake(self) -> None:
        self._news.put(None)

    def request_stop(self, *, stop: bool) -> None:
        self._stop = stop
        for worker in list(self._workers):
            worker.inline.request_stop(stop=stop)

    def interrupt(self) -> None:
        pass

    def abandon(self) -> None:
        with self._lock:
            leaving, self._workers = self._workers, []
            for worker in leaving:
                worker.leave()
        for worker in leaving:
            worker.await_end()
        self._news = SimpleQueue()
        for _ in leaving:
            self.add_worker()

    def close(self) -> None:
        self.abandon()
        while self._workers:
            self.remove_worker()

    # What becomes of its workers.

    def finished(self, worker: ThreadWorker, done: Done | bf.BatchflowError) -> None:
        with self._lock:
            if not worker.gone:
                worker.chunk = None
                self._news.put(done)

    def add_worker(self) -> None:
        with self._lock:
            worker = ThreadWorker(self, self._context)
            worker.inline.request_stop(stop=self._stop)
            self._workers.append(worker)
        self.wake()

    def remove_worker(self) -> None:
        with self._lock:
            worker = self._workers.pop()
            worker.leave()
            if worker.chunk is not None:
                self._news.put(lost(worker.chunk))
        self.wake()

    def expect_none(self) -> None:
        self._expects_workers = False
        self.wake()


def lost(chunk: bf.Chunk) -> bf.LostChunk:
    return bf.LostChunk(
        chunk_id=chunk.chunk_id,
        blamed=False,
        rows=None,
        error_type="WorkerDied",
        cause="its worker left",
    )


def change_workers(executor: VaryingExecutor, pauses: Sequence[tuple[float, int]]) -> None:
    """After each pause, in seconds, have so many workers more, or fewer where it is negative."""
    for pause_seconds, change in pauses:
        time.sleep(pause_seconds)
        for _ in range(abs(change)):
            executor.add_worker() if change > 0 else executor.remove_worker()
