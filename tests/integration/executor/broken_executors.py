"""Executors that each break one rule of the contract, around one that keeps them all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import batchflow as bf
from batchflow.chunk.result import FAILURE_SCHEMA

Done = bf.ChunkResult | bf.LostChunk

# All inner executors of this test; those whose close is broken are closed by it.
OPENED: list[bf.Executor] = []


@dataclasses.dataclass(frozen=True)
class Broken:
    """Opens an executor and puts a broken one around it."""

    inner: Any
    wrapper: Callable[[bf.Executor], bf.Executor]

    @property
    def capabilities(self) -> Any:
        return self.inner.capabilities

    def open(self, context: bf.ExecutorContext) -> bf.Executor:
        opened = self.inner.open(context)
        OPENED.append(opened)
        return self.wrapper(opened)


class Wrapped:
    """Passes everything on; subclasses break one thing."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def completed(self, timeout_seconds: float | None) -> Sequence[Done]:
        found = [self.changed(done) for done in self.inner.completed(timeout_seconds)]
        return [done for done in found if done is not None]

    def changed(self, done: Done) -> Done | None:
        return done


class DropsFailures(Wrapped):
    def changed(self, done: Any) -> Any:
        return dataclasses.replace(done, failures=FAILURE_SCHEMA.empty_table())


class MixesUpResults(Wrapped):
    first: Any = None

    def changed(self, done: Any) -> Any:
        self.first = self.first or done
        return dataclasses.replace(self.first, chunk_id=done.chunk_id)


class ReturnsTwice(Wrapped):
    def completed(self, timeout_seconds: float | None) -> Sequence[Done]:
        return [done for done in self.inner.completed(timeout_seconds) for _ in range(2)]


class AlwaysHasASlot(Wrapped):
    slots = 1


class CutsLargeChunks(Wrapped):
    def submit(self, chunk: bf.Chunk, *, suspect: bool = False) -> None:
        cut = dataclasses.replace(chunk, rows=chunk.rows.slice(0, 10_000))
        self.inner.submit(cut, suspect=suspect)


class DropsSuspects(Wrapped):
    def submit(self, chunk: bf.Chunk, *, suspect: bool = False) -> None:
        if not suspect:
            self.inner.submit(chunk)


class NeverWaits(Wrapped):
    def completed(self, timeout_seconds: float | None) -> Sequence[Done]:  # noqa: ARG002 - broken
        return self.inner.completed(0.0)


class IgnoresWake(Wrapped):
    def wake(self) -> None:
        pass


class StopsForGood(Wrapped):
    def request_stop(self, *, stop: bool) -> None:
        if stop:
            self.inner.request_stop(stop=stop)


class NeverAbandons(Wrapped):
    def abandon(self) -> None:
        pass


class OpensResourcesForEachChunk(Wrapped):
    def submit(self, chunk: bf.Chunk, *, suspect: bool = False) -> None:
        self.inner.abandon()
        self.inner.submit(chunk, suspect=suspect)


class HidesErrors(Wrapped):
    def submit(self, chunk: bf.Chunk, *, suspect: bool = False) -> None:
        try:
            self.inner.submit(chunk, suspect=suspect)
        except bf.BatchflowError:
            return

    def completed(self, timeout_seconds: float | None) -> Sequence[Done]:
        try:
            return self.inner.completed(timeout_seconds)
        except bf.BatchflowError:
            return []


class InterruptsAlways(Wrapped):
    def interrupt(self) -> None:
        raise KeyboardInterrupt


class NeverInterrupts(Wrapped):
    def interrupt(self) -> None:
        pass


class ClosesOnce(Wrapped):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise RuntimeError("it was closed before")
        self.closed = True
        self.inner.close()


class NeverCloses(Wrapped):
    def close(self) -> None:
        pass


class BlamesNone(Wrapped):
    def changed(self, done: Any) -> Any:
        lost = isinstance(done, bf.LostChunk)
        return dataclasses.replace(done, blamed=False) if lost else done


class BlamesAll(Wrapped):
    def changed(self, done: Any) -> Any:
        lost = isinstance(done, bf.LostChunk)
        return dataclasses.replace(done, blamed=True) if lost else done


class LosesChunks(Wrapped):
    def changed(self, done: Any) -> Any:
        return None if isinstance(done, bf.LostChunk) else done


class SharesWorkersWithSuspects(Wrapped):
    def submit(self, chunk: bf.Chunk, *, suspect: bool = False) -> None:  # noqa: ARG002 - broken
        self.inner.submit(chunk)


class NamesNoRows(Wrapped):
    def changed(self, done: Any) -> Any:
        lost = isinstance(done, bf.LostChunk)
        return dataclasses.replace(done, rows=None) if lost else done


class NamesAllRows(Wrapped):
    def changed(self, done: Any) -> Any:
        lost = isinstance(done, bf.LostChunk)
        return dataclasses.replace(done, rows=range(10)) if lost else done


class ReportsNoTimeouts(Wrapped):
    def changed(self, done: Any) -> Any:
        lost = isinstance(done, bf.LostChunk)
        return dataclasses.replace(done, error_type="WorkerDied") if lost else done


class LosesResults(Wrapped):
    def changed(self, done: Any) -> Any:
        return bf.LostChunk(done.chunk_id, True, None, "StepTimeout", "it was too slow")


class ExpectsNoWorkers(Wrapped):
    expects_workers = False


class ExpectsWorkersForEver(Wrapped):
    expects_workers = True


class AddsSilently(Wrapped):
    def add_worker(self) -> None:
        self.inner.wake = lambda: None
        self.inner.add_worker()


class CountsOneWorker(Wrapped):
    @property
    def workers(self) -> int:
        return min(1, self.inner.workers)


@dataclasses.dataclass(frozen=True)
class UnlimitedPool:
    """A pool that says that it limits memory."""

    capabilities = bf.ProcessPool.capabilities

    def open(self, context: bf.ExecutorContext) -> bf.Executor:
        return bf.ProcessPool(1).open(dataclasses.replace(context, worker_memory_limit=None))


@dataclasses.dataclass(frozen=True)
class InlineAsPool:
    """An inline executor that says that it has processes."""

    capabilities = bf.ProcessPool.capabilities

    def open(self, context: bf.ExecutorContext) -> bf.Executor:
        return bf.Inline().open(context)
