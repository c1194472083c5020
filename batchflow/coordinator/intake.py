"""What is executed next: claims, their parts, and how much may be in flight."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from batchflow.chunk.search import Search
from batchflow.coordinator.chunk_sizer import ChunkSizer
from batchflow.coordinator.claim import Claim, ClaimedChunk
from batchflow.coordinator.isolation import SuspectRows, isolate
from batchflow.coordinator.queue import Room, RunQueue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pyarrow as pa

    from batchflow.coordinator.backlog import Span
    from batchflow.coordinator.config import CoordinatorConfig
    from batchflow.definition import AnyWorkflow, Step
    from batchflow.executor.protocol import LostChunk
    from batchflow.store import Store

_FIRST_GUESS_BYTES_PER_ROW = 256
# 5,242,880 values in one transaction took DuckDB some 100 MB, most of it for the values before.
_SQL_VALUES = 5 * 1024 * 1024
_ENGINE_COLUMNS_CHANGED = 4


@dataclass(frozen=True)
class InStore:
    """A span of runs whose step is executed by the store."""

    queue: RunQueue
    step: Step
    span: Span


class Intake:
    """The claims of one drain."""

    def __init__(
        self,
        store: Store,
        workflows: Sequence[AnyWorkflow],
        config: CoordinatorConfig,
        sizer: ChunkSizer,
        workers: int,
        limit: int | None,
    ) -> None:
        self.queues = {workflow.name: RunQueue(workflow, store) for workflow in workflows}
        self.in_store: deque[InStore] = deque()
        self._config = config
        self._sizer = sizer
        self._workers = workers
        self._most_bytes = config.bytes_for(workers)
        self._left = limit
        self._claims: deque[Claim] = deque()
        self._suspects: deque[ClaimedChunk] = deque()
        self._out: Counter[tuple[str, int]] = Counter()
        self._bytes = 0
        self._bytes_per_row: dict[tuple[str, int], float] = {}

    # Taking.

    def next_chunk(self, now: datetime, *, storing: bool) -> ClaimedChunk | None:
        """Take the next part of a claim, or of a new one; ``None`` when there is nothing to do.

        While results are being stored, more runs are about to arrive. So nobody comes again who
        waits for the others, and what would be less than a chunk is left to grow.
        """
        while (claim := self._open_claim() or self._new_claim(now, storing)) is not None:
            # All of a claim, or as much as may be out at once, may be suspect and go another way.
            if claim.pending and self._may_run(claim):
                return self._taken(claim)
        return None

    def next_suspect(self) -> ClaimedChunk | None:
        """Take the next chunk that is to have a worker of its own."""
        return self._suspects.popleft() if self._suspects else None

    def next_in_store(self) -> InStore | None:
        """Take the next span whose step is executed by the store."""
        return self.in_store.popleft() if self.in_store else None

    # Giving back.

    def give_back(self, chunk: ClaimedChunk, rows: pa.Table) -> None:
        """Execute these rows of a chunk later, in a worker apart if they were to be there."""
        if chunk.search is None:
            chunk.claim.give_back(rows)
        elif rows.num_rows:
            executed = chunk.rows.num_rows - rows.num_rows
            self._suspect(chunk.claim, SuspectRows(rows, chunk.search.after(executed)))

    def lost(self, chunk: ClaimedChunk, lost: LostChunk) -> ClaimedChunk | None:
        """Execute a lost chunk again, apart from the others who may be to blame.

        Answers the run that is, if it was alone there: it is out for its failure to be committed.
        """
        if not lost.blamed:
            self.give_back(chunk, chunk.rows)
            self.done(chunk)
            return None
        claim, isolated = chunk.claim, isolate(chunk.rows, lost, chunk.search)
        if isolated.innocent is not None:
            claim.give_back(isolated.innocent)
        for suspects in isolated.suspects:
            self._suspect(claim, suspects)
        if isolated.convicted is None:
            self.done(chunk)
            return None
        self.queues[claim.workflow.name].ended_worker(claim.step.from_code, isolated.convicted)
        return replace(chunk, rows=isolated.convicted)

    def done(self, chunk: ClaimedChunk) -> None:
        """Take note that a chunk is committed, or that nothing of it needs to be."""
        claim = chunk.claim
        claim.out -= 1
        self._out[_key(claim)] -= 1
        if claim.finished:
            self._claims.remove(claim)
            self._bytes -= claim.bytes
            self.queues[claim.workflow.name].release(claim.span)

    # The clock's part.

    def refresh_due(self, now: datetime) -> None:
        """Look for retries where one has fallen due."""
        for queue in self.queues.values():
            queue.refresh_due(now)

    def refresh(self, now: datetime) -> None:
        """Count anew who waits where."""
        for queue in self.queues.values():
            queue.refresh(now)

    @property
    def limit_reached(self) -> bool:
        """Whether steps were executed for as many runs as they may be."""
        return self._left == 0

    @property
    def due_at(self) -> datetime | None:
        """When the next retry falls due."""
        return min((queue.due_at for queue in self.queues.values() if queue.due_at), default=None)

    def _open_claim(self) -> Claim | None:
        return next(
            (claim for claim in self._claims if claim.pending and self._may_run(claim)), None
        )

    def _may_run(self, claim: Claim) -> bool:
        return not self._at_its_limit(_key(claim), claim.step)

    def _new_claim(self, now: datetime, storing: bool) -> Claim | None:
        for queue in self.queues.values():
            room = partial(self._room, queue, storing)
            while (span := queue.next_span(room, may_turn=not storing)) is not None:
                step = queue.workflow.steps[span.code]
                if step.kind.in_store:
                    self._count_toward_limit(queue.claim_whole(span))
                    self.in_store.append(InStore(queue, step, span))
                elif (claim := queue.claim(span, now)) is not None:
                    return self._opened(queue, claim)
        return None

    def _room(self, queue: RunQueue, storing: bool, step: Step) -> Room:
        """Answer how many runs of a step may be claimed at present."""
        key = (queue.workflow.name, step.from_code)
        if self._left == 0 or self._at_its_limit(key, step):
            return Room(0)
        if step.kind.in_store:
            most = min(self._sql_rows(step), self._left or self._config.sql_batch_rows)
            return Room(0 if self.in_store else most)
        bytes_per_row = self._bytes_per_row.get(key, _FIRST_GUESS_BYTES_PER_ROW)
        fitting = int((self._most_bytes - self._bytes) / bytes_per_row)
        most = min(self._config.batch_rows, max(fitting, 0 if self._bytes else 1))
        least = self._sizer.rows(queue.workflow.name, step) if storing else 1
        return Room(most, min(most, least))

    def _sql_rows(self, step: Step) -> int:
        """Answer how many runs go into one transaction: fewer, the more columns it changes.

        Until it is committed, DuckDB keeps the changed values and those before in memory.
        """
        columns = len(step.set_expressions) + _ENGINE_COLUMNS_CHANGED
        return min(self._config.sql_batch_rows, max(1, _SQL_VALUES // columns))

    def _at_its_limit(self, key: tuple[str, int], step: Step) -> bool:
        return step.options.parallel is not None and self._out[key] >= step.options.parallel

    def _opened(self, queue: RunQueue, claim: Claim) -> Claim:
        if self._left is not None:
            queue.given_back(claim.step.from_code, claim.keep_first(self._left))
        self._count_toward_limit(claim.rows.num_rows)
        self._part_suspects(queue, claim)
        self._claims.append(claim)
        self._bytes += claim.bytes
        self._bytes_per_row[_key(claim)] = max(1.0, claim.bytes / claim.rows.num_rows)
        return claim

    def _part_suspects(self, queue: RunQueue, claim: Claim) -> None:
        shared, suspects = queue.split_suspects(claim.step.from_code, claim.rows)
        if suspects.num_rows:
            claim.pending = deque([shared] if shared.num_rows else [])
            most = self._sizer.rows(claim.workflow.name, claim.step)
            for first in range(0, suspects.num_rows, most):
                part = suspects.slice(first, most)
                # Each is likely to end its worker again, so none is called together with others.
                self._suspect(claim, SuspectRows(part, Search(part.num_rows, crashes=1)))

    def _suspect(self, claim: Claim, suspects: SuspectRows) -> None:
        claim.out += 1
        self._out[_key(claim)] += 1
        self._suspects.append(ClaimedChunk(claim, suspects.rows, suspects.search))

    def _count_toward_limit(self, runs: int) -> None:
        if self._left is not None:
            self._left = max(0, self._left - runs)

    def _taken(self, claim: Claim) -> ClaimedChunk:
        rows = self._sizer.rows(claim.workflow.name, claim.step)
        # A small part is spread over all workers: steps that wait gain more than it costs.
        fair = -(-claim.rows.num_rows // self._workers)
        chunk = ClaimedChunk(claim, claim.take(min(rows, fair)))
        self._out[_key(claim)] += 1
        return chunk


def _key(claim: Claim) -> tuple[str, int]:
    return claim.workflow.name, claim.step.from_code
