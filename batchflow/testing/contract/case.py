"""One executor under test: chunks for it, and waiting for what becomes of them."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from batchflow.chunk import Chunk, ChunkResult
from batchflow.chunk.chunk import ATTEMPT, CREATED_AT, FOREIGN_ID, SEQ
from batchflow.definition import Outcome
from batchflow.executor import Capability, Executor, ExecutorContext, ExecutorFactory, LostChunk
from batchflow.testing.contract.probe import Act, ProbeStatus, probe_workflows, workflow_of

_POLL_SECONDS = 0.5
_NOW = datetime(2000, 1, 1, tzinfo=UTC)
_LATER_SECONDS = 0.3

News = ChunkResult | LostChunk
NewsT = TypeVar("NewsT", ChunkResult, LostChunk)


class ExecutorContractError(AssertionError):
    """An executor breaks the contract; the message says what was expected and what happened."""


@dataclass(frozen=True, kw_only=True)
class WorkerChanges:
    """How a check changes the workers of an executor that has ``Capability.VARIES_WORKERS``.

    Attributes:
        add: Have one more worker appear.
        remove: Have one worker leave at once, with the chunk that it executes.
        expect_none: From now on, the executor expects no more workers.
    """

    add: Callable[[Any], None]
    remove: Callable[[Any], None]
    expect_none: Callable[[Any], None]


@dataclass
class ExecutorCase:
    """Open executors for one check, and close them after it."""

    factory: ExecutorFactory
    folder: Path
    patience_seconds: float
    changes: WorkerChanges | None = None
    _opened: list[Executor] = field(default_factory=list)
    _chunk_ids: Iterator[int] = field(default_factory=itertools.count)

    def open(self, *, worker_memory_limit: str | None = None) -> Executor:
        """Open an executor for the probe's workflows, and start it."""
        return self._open(
            ExecutorContext(
                workflows=probe_workflows(self.folder), worker_memory_limit=worker_memory_limit
            )
        )

    def open_for_step(self, step: Callable[[Any], Any]) -> Executor:
        """Open an executor for one row step, and start it."""
        context = ExecutorContext(workflows={"plain": workflow_of(step)}, worker_memory_limit=None)
        return self._open(context)

    def close(self) -> None:
        """Close all executors."""
        while self._opened:
            self._opened.pop().close()

    def claims(self, capability: Capability) -> bool:
        """Return whether the executor has a capability."""
        return capability in self.factory.capabilities

    def chunk(
        self,
        acts: Sequence[Act] = (Act.ADVANCE,) * 3,
        *,
        numbers: Sequence[int] | None = None,
        text: str = "",
        workflow: str = "plain",
        status: ProbeStatus = ProbeStatus.ROW,
        call_rows: int | None = None,
    ) -> Chunk:
        """Return a chunk of one run for each act; the numbers count from 0 by default."""
        rows = len(acts)
        columns = {
            SEQ: pa.array(range(rows), pa.int64()),
            ATTEMPT: pa.array([1] * rows, pa.int32()),
            FOREIGN_ID: pa.array(map(str, range(rows)), pa.string()),
            CREATED_AT: pa.array([0] * rows, pa.timestamp("us", "UTC")),
            "act": pa.array([act.name for act in acts], pa.string()),
            "number": pa.array(range(rows) if numbers is None else numbers, pa.int64()),
            "text": pa.array([text] * rows, pa.string()),
            "worker": pa.array([""] * rows, pa.string()),
        }
        return Chunk(
            chunk_id=next(self._chunk_ids),
            workflow=workflow,
            from_code=list(ProbeStatus).index(status),
            rows=pa.table(columns),
            run_id_base=0,
            now=_NOW,
            call_rows=call_rows,
        )

    def outcome_of(self, executor: Executor, chunk: Chunk, *, suspect: bool = False) -> News:
        """Submit one chunk to an executor without others, and return what becomes of it."""
        self.await_slot(executor, suspect=suspect)
        executor.submit(chunk, suspect=suspect)
        return self.collected(executor, [chunk])[chunk.chunk_id]

    def result_of(self, executor: Executor, chunk: Chunk, *, suspect: bool = False) -> ChunkResult:
        """Submit one chunk to an executor without others, and return its result."""
        return expect_kind(self.outcome_of(executor, chunk, suspect=suspect), ChunkResult)

    def collected(
        self, executor: Executor, chunks: Iterable[Chunk], found: dict[int, News] | None = None
    ) -> dict[int, News]:
        """Wait until each chunk is returned, and return what became of it, by its id."""
        news: dict[int, News] = {} if found is None else found
        awaited = {chunk.chunk_id for chunk in chunks}
        deadline = time.monotonic() + self.patience_seconds
        while missing := awaited - news.keys():
            count = f"{len(missing)} of {len(awaited)} chunks"
            late = f"{count} weren't returned in {self.patience_seconds:g} s."
            expect(time.monotonic() < deadline, late)
            for one in executor.completed(_POLL_SECONDS):
                expect(
                    one.chunk_id in awaited and one.chunk_id not in news,
                    f"Chunk {one.chunk_id} was returned twice, or was never submitted.",
                )
                news[one.chunk_id] = one
        return news

    def await_slot(self, executor: Executor, *, suspect: bool = False) -> None:
        """Wait for a slot of an executor that has no chunk."""
        self.await_true(
            executor,
            lambda: (executor.suspect_slots if suspect else executor.slots) > 0,
            "There was no slot, although no chunk is under way.",
        )

    def await_true(self, executor: Executor, condition: Callable[[], bool], message: str) -> None:
        """Wait for something that makes a waiting `completed` return without a chunk.

        Raises:
            ExecutorContractError: It didn't come in time, or a chunk was returned.
        """
        deadline = time.monotonic() + self.patience_seconds
        while not condition():
            done = executor.completed(self.patience_seconds)
            expect(not done, f"A chunk was returned unexpectedly: {done}")
            expect(time.monotonic() < deadline, message)

    def _open(self, context: ExecutorContext) -> Executor:
        executor = self.factory.open(context)
        self._opened.append(executor)
        executor.start()
        if self.changes is not None and not executor.workers:
            self.changes.add(executor)
        return executor


def expect(condition: object, message: str) -> None:
    """Break the check unless the condition is true.

    Raises:
        ExecutorContractError: It is false.
    """
    if not condition:
        raise ExecutorContractError(message)


def expect_kind(found: News, kind: type[NewsT]) -> NewsT:
    """Return what became of a chunk if it is of this kind.

    Raises:
        ExecutorContractError: It is of the other.
    """
    if not isinstance(found, kind):
        raise ExecutorContractError(f"Expected a {kind.__name__}, found {found!r}.")
    return found


def expect_outcomes(result: ChunkResult, expected: Sequence[Outcome]) -> None:
    """Break the check unless the runs have these outcomes."""
    found = [Outcome(code).name for code in result.outcomes.tolist()]
    wanted = [outcome.name for outcome in expected]
    expect(found == wanted, f"Expected the outcomes {wanted}, found {found}.")


def values_of(result: ChunkResult, name: str) -> list[Any]:
    """Return the values that the step left in a field."""
    expect(name in result.changes, f"The result has no change of field {name!r}.")
    values: list[Any] = result.changes[name].values.to_pylist()
    return values


@contextlib.contextmanager
def later(function: Callable[[], None]) -> Iterator[None]:
    """Call a function from another thread, shortly after the block began."""
    timer = threading.Timer(_LATER_SECONDS, function)
    timer.start()
    try:
        yield
    finally:
        timer.join()
