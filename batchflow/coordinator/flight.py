"""The chunks that the executor has."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from batchflow import crash_point
from batchflow.chunk import Chunk, ChunkResult
from batchflow.coordinator.abandoned import result_of_call, with_beginning
from batchflow.coordinator.settlement import result_of_lost
from batchflow.executor.protocol import CallUnderWay, LostChunk, WatchedExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchflow.coordinator.calls import UnfinishedCall
    from batchflow.coordinator.claim import ClaimedChunk
    from batchflow.coordinator.drain_context import DrainContext
    from batchflow.coordinator.intake import Intake
    from batchflow.definition import AnyWorkflow, Step

# Suspects return earlier, because that much is executed again when their worker ends.
_SUSPECTS_SLICE_SECONDS = 0.05
# A worker whose step holds the interpreter's lock doesn't answer at all.
_SURRENDER_SECONDS = 1.0
_ONLY_FOR_COMMITS = ["#version", "#run_state"]


class ChunksInFlight:
    """Submits chunks to the executor, and collects their results."""

    def __init__(self, context: DrainContext, intake: Intake) -> None:
        self._store, self._executor = context.store, context.executor
        self._sizer, self._ids = context.sizer, context.chunk_ids
        self._clock = context.clock
        self._intake = intake
        self._chunks: dict[int, ClaimedChunk] = {}
        # Of the chunks of shared workers, how many there are of each step. A thousand workers have
        # two thousand chunks, which aren't looked at one by one for each chunk that is submitted.
        self._shared: Counter[tuple[AnyWorkflow, Step]] = Counter()

    def __len__(self) -> int:
        """Return how many chunks the executor has."""
        return len(self._chunks)

    def occupies(self, workers: int) -> bool:
        """Return whether each of so many shared workers has a chunk."""
        return self._shared.total() >= max(1, workers)

    @property
    def has_suspects(self) -> bool:
        """Whether an isolated worker has a chunk."""
        return self._shared.total() < len(self._chunks)

    @property
    def has_long(self) -> bool:
        """Whether a chunk of the shared workers may take so long that none should wait for it."""
        return any(self._sizer.is_long(flow.name, step) for flow, step in self._shared)

    @property
    def _idle_workers(self) -> int:
        return max(0, self._executor.workers - self._shared.total())

    def submit(self, chunk: ClaimedChunk) -> None:
        """Give a chunk to the executor, which has a slot for it."""
        chunk_id = next(self._ids)
        workflow, step = chunk.claim.workflow, chunk.claim.step
        self._chunks[chunk_id] = replace(chunk, submitted=time.monotonic())
        if not chunk.suspect:
            self._shared[workflow, step] += 1
        self._executor.submit(
            Chunk(
                chunk_id=chunk_id,
                workflow=workflow.name,
                from_code=step.from_code,
                rows=chunk.rows.drop_columns(_ONLY_FOR_COMMITS),
                run_id_base=self._store.run_id_base(workflow),
                now=self._clock.now(),
                slice_seconds=self._slice_seconds(chunk),
                search=chunk.search,
                call_rows=self._sizer.call_rows(workflow.name, step),
                visit=self._intake.visit(chunk, idle_workers=self._idle_workers),
            ),
            suspect=chunk.suspect,
        )
        crash_point.reached("chunks_in_flight")

    def collect(self, timeout_seconds: float | None) -> Iterator[tuple[ClaimedChunk, ChunkResult]]:
        """Wait for news; yield each chunk that was executed with its result.

        The runs of a lost chunk are executed again, except for a run that is identified as the
        cause: that one is yielded as failed.
        """
        for done in self._executor.completed(timeout_seconds):
            chunk = self._taken(done.chunk_id)
            match done:
                case ChunkResult():
                    yield chunk, done
                case LostChunk():
                    identified = self._lost(chunk, done)
                    if identified is not None:
                        yield identified, result_of_lost(done)
                case _:
                    assert_never(done)

    def chunk(self, chunk_id: int) -> ClaimedChunk | None:
        """Return a chunk that the executor has; callable from any thread."""
        return self._chunks.get(chunk_id)

    def surrendered(
        self, calls: Mapping[int, UnfinishedCall]
    ) -> Iterator[tuple[ClaimedChunk, ChunkResult]]:
        """Yield what is done of the chunks whose calls don't return, which have failed.

        Args:
            calls: The calls under way, by the id of their chunk.
        """
        if not isinstance(self._executor, WatchedExecutor):
            return
        self._executor.request_surrender()
        deadline = time.monotonic() + _SURRENDER_SECONDS
        while calls.keys() & self._chunks.keys() and (left := deadline - time.monotonic()) > 0:
            for chunk, result in self.collect(left):
                call = calls.get(result.chunk_id)
                yield chunk, result if call is None else with_beginning(result, call)
        for under_way in self._executor.calls():
            if under_way.chunk_id in calls and self._can_fail(under_way):
                chunk = self._taken(under_way.chunk_id)
                result = result_of_call(under_way, chunk.rows.num_rows)
                yield chunk, with_beginning(result, calls[under_way.chunk_id])

    def _taken(self, chunk_id: int) -> ClaimedChunk:
        chunk = self._chunks.pop(chunk_id)
        if not chunk.suspect:
            key = chunk.claim.workflow, chunk.claim.step
            self._shared[key] -= 1
            if not self._shared[key]:
                del self._shared[key]
        return chunk

    def _can_fail(self, call: CallUnderWay) -> bool:
        """Return whether the runs of a call are known for certain.

        Those of a further step of the visit may be far from each other in the chunk.
        """
        chunk = self._chunks.get(call.chunk_id)
        if chunk is None:
            return False
        return call.from_code in (None, chunk.claim.step.from_code) or len(call.rows) == 1

    def _lost(self, chunk: ClaimedChunk, lost: LostChunk) -> ClaimedChunk | None:
        if lost.blamed and not chunk.suspect:
            self._sizer.lost(chunk.claim.workflow.name, chunk.claim.step)
        return self._intake.lost(chunk, lost)

    def _slice_seconds(self, chunk: ClaimedChunk) -> float | None:
        if chunk.suspect:
            return _SUSPECTS_SLICE_SECONDS
        return self._sizer.slice_seconds(chunk.claim.workflow.name, chunk.claim.step)
