"""The choice of the runs to execute next: claims, their parts, and how many may be in flight."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from batchflow.chunk.search import Search
from batchflow.chunk.visit import Visit
from batchflow.coordinator.breakers import Breakers
from batchflow.coordinator.chunk_sizer import ChunkSizer, lanes
from batchflow.coordinator.claim import Claim, ClaimedChunk
from batchflow.coordinator.isolation import SuspectRows, isolate
from batchflow.coordinator.queue import Room, RunQueue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy as np
    import pyarrow as pa

    from batchflow.coordinator.backlog import Span
    from batchflow.coordinator.config import CoordinatorConfig
    from batchflow.coordinator.rerun_share import RerunShare
    from batchflow.definition import AnyWorkflow, Step
    from batchflow.executor.protocol import LostChunk
    from batchflow.store import Store

_FIRST_GUESS_BYTES_PER_ROW = 256
# 5,242,880 values in one transaction took DuckDB some 100 MB, most of it for the old values.
_SQL_VALUES = 5 * 1024 * 1024
_ENGINE_COLUMNS_CHANGED = 4
# A breaker is to see results before a step fails for a million runs.
_WATCHED_SQL_ROWS = 65_536


@dataclass(frozen=True)
class StoreSpan:
    """A span of runs whose step is executed in the store.

    Attributes:
        queue: The runs of the workflow.
        steps: The step, then those that the runs may go on to before the commit.
        span: The span.
        seqs: The part of it that is executed.
        runs: About how many runs that part has.
    """

    queue: RunQueue
    steps: tuple[Step, ...]
    span: Span
    seqs: range
    runs: int


@dataclass(frozen=True)
class Demand:
    """The situation of the next chunk.

    Attributes:
        storing: Whether results are being stored, so that more runs are about to arrive. Until
            then no new turn begins, and amounts smaller than a chunk are left to grow.
        ahead: Whether all workers have a chunk, so that it would wait behind one. A long chunk
            is then kept, because any worker may be the first that is idle.
    """

    storing: bool = False
    ahead: bool = False


class Intake:
    """The claims of one drain."""

    def __init__(
        self,
        store: Store,
        workflows: Sequence[AnyWorkflow],
        config: CoordinatorConfig,
        sizer: ChunkSizer,
        limit: int | None,
        reruns: RerunShare | None = None,
    ) -> None:
        # A limit counts executions, so each is chosen by itself.
        visits = limit is None
        self.queues = {
            workflow.name: RunQueue(workflow, store, visits=visits, reruns=reruns is not None)
            for workflow in workflows
        }
        self.in_store: deque[StoreSpan] = deque()
        self._config = config
        self._sizer = sizer
        self._workers = 1
        self._most_bytes = config.bytes_for(1)
        self._left = limit
        self._reruns = reruns
        self._claims: deque[Claim] = deque()
        self._suspects: deque[ClaimedChunk] = deque()
        self._out: Counter[tuple[str, int]] = Counter()
        self._bytes = {False: 0, True: 0}
        self._bytes_per_row: dict[tuple[str, int], float] = {}
        self._barred: dict[str, frozenset[int]] = {name: frozenset() for name in self.queues}
        self.breakers = Breakers(workflows)
        self._untried = {
            (workflow.name, code)
            for workflow in workflows
            for code, step in workflow.steps.items()
            if not step.kind.in_store
        }

    def adapt_to(self, workers: int) -> None:
        """Follow the number of workers, which may change at any time."""
        if workers != self._workers:
            self._workers = workers
            self._most_bytes = self._config.bytes_for(workers)
            self._sizer.adapt_to(workers)

    # Taking.

    def next_chunk(self, now: datetime, demand: Demand) -> ClaimedChunk | None:
        """Take the next part of a claim, or of a new one; None if there is no work."""
        claim = self._untried_claim(now) or self._next_claim(now, demand)
        return None if claim is None else self._taken(claim)

    def next_suspect(self) -> ClaimedChunk | None:
        """Take the next chunk for an isolated worker."""
        return self._suspects.popleft() if self._suspects else None

    def next_in_store(self) -> StoreSpan | None:
        """Take the next span whose step is executed in the store."""
        return self.in_store.popleft() if self.in_store else None

    def find_in_store(self, now: datetime, *, may_turn: bool) -> None:
        """Find the next span whose step is executed in the store, whatever waits for workers."""
        for queue in self.queues.values():
            span = queue.next_span(partial(self._room_in_store, queue), may_turn=may_turn)
            if span is not None:
                self._claim_in_store(queue, span, now)

    # Visiting.

    def visit(self, chunk: ClaimedChunk, *, idle_workers: int) -> Visit | None:
        """Return how far the runs of a chunk may go that is about to be executed.

        Args:
            chunk: The chunk.
            idle_workers: How many workers have no chunk besides the one that gets this one.
        """
        claim, name = chunk.claim, chunk.claim.workflow.name
        if chunk.suspect or not self.queues[name].may_visit(claim.step.from_code, chunk.rows):
            return None
        # No other run of the turn waits longer then.
        others_have_room = self._waiting_runs <= idle_workers * chunk.rows.num_rows
        barred = self._barred[name] | self.breakers.held_of(name)
        return Visit(self._sizer.target_seconds, others_have_room, tuple(sorted(barred)))

    @property
    def _waiting_runs(self) -> int:
        claimed = sum(claim.pending_rows for claim in self._claims)
        in_store = sum(span.runs for span in self.in_store)
        suspect = sum(int(chunk.rows.num_rows) for chunk in self._suspects)
        waiting = sum(queue.claimable_in_this_turn for queue in self.queues.values())
        return claimed + in_store + suspect + waiting

    def _bar(self, chunk: ClaimedChunk, code: int | None) -> bool:
        """End visits before a step that ended a worker; return whether they went on to it.

        Its chunks are then its own, so that the runs which end workers are found as usual.
        """
        workflow = chunk.claim.workflow
        barred = self._barred[workflow.name]
        if code is None or code == chunk.claim.step.from_code or code in barred:
            return False
        if code not in workflow.steps:
            return False
        self._barred[workflow.name] = barred | {code}
        return True

    # Breakers.

    def follow_breakers(self, now: datetime, random: np.random.Generator) -> bool:
        """Open and close the breakers of steps; return whether any has changed."""
        changed = self.breakers.follow(now, random)
        if self.breakers.held:
            self._return_held_claims()
            self._return_held_spans()
        return changed

    @property
    def waiting_for_breakers(self) -> dict[tuple[str, int], int]:
        """The number of runs that wait for each step whose breaker isn't closed, if any do."""
        waiting = {
            (name, code): self.queues[name].waiting(code) for name, code in self.breakers.held
        }
        return {key: runs for key, runs in waiting.items() if runs}

    def done_in_store(self, task: StoreSpan, *, release: bool) -> None:
        """Record that a span was executed; without `release` it is left alone from now on."""
        self.breakers.record_end((task.queue.workflow.name, task.span.code), task)
        if release:
            task.queue.release(task.span)

    def _return_held_claims(self) -> None:
        for claim in list(self._claims):
            if claim.pending and not self.breakers.admits(_key(claim), claim):
                queue = self.queues[claim.workflow.name]
                for part in claim.pending:
                    queue.return_runs(claim.span, part)
                self._count_toward_limit(-claim.pending_rows)
                claim.pending.clear()
                self._end_if_finished(claim)

    def _return_held_spans(self) -> None:
        waiting, self.in_store = self.in_store, deque()
        for task in waiting:
            queue = task.queue
            if self.breakers.admits((queue.workflow.name, task.span.code), task):
                steps = self._steps_in_store(queue, task.span.code)
                self.in_store.append(task if steps == task.steps else replace(task, steps=steps))
                continue
            self._count_toward_limit(-task.runs)
            queue.release(task.span)
            # It isn't known where within the span its runs are.
            queue.record_change()

    # Waiting for workers.

    def has_work(self, now: datetime) -> bool:
        """Return whether runs wait for a worker; claim some of them to be sure."""
        return bool(self._suspects) or self._next_claim(now, Demand()) is not None

    def fits(self, slots: int, suspect_slots: int) -> bool:
        """Return whether a chunk of the claims can be submitted with so many slots."""
        return bool((self._suspects and suspect_slots) or (self._open_claim(Demand()) and slots))

    @property
    def has_pending(self) -> bool:
        """Whether claimed runs wait for a worker."""
        return bool(self._suspects) or self._open_claim(Demand()) is not None

    @property
    def runs_for_workers(self) -> int:
        """The number of runs that wait for a step in a worker, as of the last `refresh`."""
        return sum(queue.runs_for_workers for queue in self.queues.values())

    # Giving back.

    def give_back(self, chunk: ClaimedChunk, rows: pa.Table) -> None:
        """Execute these rows of a chunk later; those for an isolated worker stay isolated."""
        if chunk.search is None:
            chunk.claim.give_back(rows)
        elif rows.num_rows:
            executed = chunk.rows.num_rows - rows.num_rows
            self._suspect(chunk.claim, SuspectRows(rows, chunk.search.after(executed)))

    def lost(self, chunk: ClaimedChunk, lost: LostChunk) -> ClaimedChunk | None:
        """Execute a lost chunk again, and isolate the runs that may have ended its worker.

        Returns the run that ended it, if that is certain, as a chunk whose failure is to be
        committed.
        """
        if not lost.blamed or self._bar(chunk, lost.from_code):
            self.give_back(chunk, chunk.rows)
            self.done(chunk)
            return None
        claim, isolated = chunk.claim, isolate(chunk.rows, lost, chunk.search)
        if isolated.innocent is not None:
            claim.give_back(isolated.innocent)
        for suspects in isolated.suspects:
            self._suspect(claim, suspects)
        if isolated.identified is None:
            self.done(chunk)
            return None
        self.queues[claim.workflow.name].record_suspects(claim.step.from_code, isolated.identified)
        return replace(chunk, rows=isolated.identified)

    def done(self, chunk: ClaimedChunk) -> None:
        """Record that a chunk is committed, or that nothing of it has to be."""
        claim = chunk.claim
        claim.out -= 1
        self._out[_key(claim)] -= 1
        self._end_if_finished(claim)

    def _end_if_finished(self, claim: Claim) -> None:
        if claim.finished:
            self._claims.remove(claim)
            self._bytes[claim.span.reruns] -= claim.bytes
            self.queues[claim.workflow.name].release(claim.span)
            self.breakers.record_end(_key(claim), claim)

    # Counting.

    def record_seconds(self, chunk: ClaimedChunk, seconds: float) -> None:
        """Record how long a chunk had a worker."""
        if self._reruns is not None:
            self._reruns.record(seconds, reruns=chunk.claim.span.reruns)

    def is_refresh_due(self, now: datetime) -> bool:
        """Return whether `refresh_due` would count runs again."""
        return any(queue.is_refresh_due(now) for queue in self.queues.values())

    def refresh_due(self, now: datetime) -> None:
        """Count the runs of workflows again for which a retry is due, or that others changed."""
        for queue in self.queues.values():
            queue.refresh_due(now)

    def refresh(self, now: datetime) -> None:
        """Count the waiting runs in the store."""
        for queue in self.queues.values():
            queue.refresh(now)

    @property
    def limit_reached(self) -> bool:
        """Whether no more runs may be claimed in this drain."""
        return self._left == 0

    @property
    def due_at(self) -> datetime | None:
        """The time at which the next retry is due, or the next probe of a step."""
        retries = (queue.due_at for queue in self.queues.values())
        probes = (self.breakers.by_step[key].probe_at for key in self.waiting_for_breakers)
        return min((at for at in (*retries, *probes) if at is not None), default=None)

    def _next_claim(self, now: datetime, demand: Demand) -> Claim | None:
        """Return a claim with a part for a shared worker, of the kind of runs whose turn it is."""
        if self._reruns is None:
            return self._workable_claim(now, demand)
        in_flight = sum(claim.out for claim in self._claims if claim.span.reruns)
        turn = self._reruns.gives_reruns_a_turn(in_flight=in_flight, workers=self._workers)
        claim = self._workable_claim(now, demand, reruns=turn)
        if claim is None:
            self._reruns.restart()
            claim = self._workable_claim(now, demand, reruns=not turn)
        return claim

    def _workable_claim(
        self, now: datetime, demand: Demand, *, reruns: bool = False
    ) -> Claim | None:
        """Return a claim with a part for a shared worker; open one if there is none."""
        while claim := (
            self._open_claim(demand, reruns=reruns) or self._new_claim(now, demand, reruns=reruns)
        ):
            # All runs of a new claim, or as many as may be executed at once, may be suspects.
            if claim.pending and self._may_run(claim):
                return claim
        return None

    def _untried_claim(self, now: datetime) -> Claim | None:
        """Open a claim for a step that this drain hasn't executed yet, whatever else is open.

        So its cost is known early, and errors in it are found early.
        """
        if not self._untried or not self._claims:
            return None
        for queue in self.queues.values():
            span = queue.next_span(partial(self._room_untried, queue), may_turn=False)
            claim = None if span is None else queue.claim(span, now)
            if claim is not None and self._opened(queue, claim).pending and self._may_run(claim):
                return claim
        return None

    def _room_untried(self, queue: RunQueue, step: Step) -> Room:
        if (queue.workflow.name, step.from_code) not in self._untried:
            return Room(0)
        return replace(self._room(queue, Demand(), step), enough=1)

    def _open_claim(self, demand: Demand, *, reruns: bool | None = None) -> Claim | None:
        """Return a claim with a part for a shared worker, of one kind of runs or of either."""
        claims = (claim for claim in self._claims if claim.pending and self._may_run(claim))
        if reruns is not None:
            claims = (claim for claim in claims if claim.span.reruns == reruns)
        if demand.ahead:
            claims = (claim for claim in claims if not self._is_long(claim))
        return next(claims, None)

    def _is_long(self, claim: Claim) -> bool:
        return self._sizer.is_long(claim.workflow.name, claim.step)

    def _may_run(self, claim: Claim) -> bool:
        key = _key(claim)
        return self.breakers.admits(key, claim) and not self._at_its_limit(key, claim.step)

    def _may_claim(self, key: tuple[str, int], step: Step) -> bool:
        if self._left == 0 or self._at_its_limit(key, step):
            return False
        return self.breakers.admits_claims(key)

    def _new_claim(self, now: datetime, demand: Demand, *, reruns: bool) -> Claim | None:
        may_turn = not demand.storing
        for queue in self.queues.values():
            room = partial(self._room, queue, demand, reruns=reruns)
            while span := queue.next_span(room, may_turn=may_turn, reruns=reruns):
                if queue.workflow.steps[span.code].kind.in_store:
                    self._claim_in_store(queue, span, now)
                elif (claim := queue.claim(span, now)) is not None:
                    return self._opened(queue, claim)
        return None

    def _claim_in_store(self, queue: RunQueue, span: Span, now: datetime) -> None:
        key, steps = (queue.workflow.name, span.code), self._steps_in_store(queue, span.code)
        seqs, runs = queue.claim_in_store(span, now, self._most_in_store(key, steps))
        self._count_toward_limit(runs)
        task = StoreSpan(queue, steps, span, seqs, runs)
        self.breakers.record_claim(key, task)
        self.in_store.append(task)

    def _steps_in_store(self, queue: RunQueue, code: int) -> tuple[Step, ...]:
        held = self.breakers.held_of(queue.workflow.name) - {code}
        return tuple(step for step in queue.steps_in_store(code) if step.from_code not in held)

    def _room_in_store(self, queue: RunQueue, step: Step) -> Room:
        """Return how many runs of a step in the store may be claimed now; none of other steps."""
        key = (queue.workflow.name, step.from_code)
        if self.in_store or not self._may_claim(key, step):
            return Room(0)
        if not step.kind.in_store:
            return Room(0)
        steps = self._steps_in_store(queue, step.from_code)
        rows = self._sql_rows(steps)
        most = min(rows, self._most_in_store(key, steps) or rows)
        return Room(min(most, _WATCHED_SQL_ROWS) if key in self.breakers.by_step else most)

    def _most_in_store(self, key: tuple[str, int], steps: Sequence[Step]) -> int | None:
        """Return how many runs one transaction of steps in the store may move; None for any."""
        chunk_rows = (step.options.chunk_rows for step in steps)
        limits = (self._left, self.breakers.most_claimed(key), *chunk_rows)
        return min((limit for limit in limits if limit is not None), default=None)

    def _room(self, queue: RunQueue, demand: Demand, step: Step, *, reruns: bool = False) -> Room:
        """Return how many runs of a step may be claimed now."""
        if step.kind.in_store:
            return Room(0) if reruns else self._room_in_store(queue, step)
        name = queue.workflow.name
        key = (name, step.from_code)
        if not self._may_claim(key, step):
            return Room(0)
        if (few := self.breakers.most_claimed(key)) is not None:
            return Room(few)
        if demand.ahead and self._sizer.is_long(name, step):
            return Room(0)
        bytes_per_row = self._bytes_per_row.get(key, _FIRST_GUESS_BYTES_PER_ROW)
        # Re-runs that wait for their turn must not take the room of the others.
        most_bytes, taken = self._most_bytes // (2 if reruns else 1), self._bytes[reruns]
        fitting = int((most_bytes - taken) / bytes_per_row)
        most = min(self._config.batch_rows, max(fitting, 0 if taken else 1))
        least = self._sizer.rows(name, step) if demand.storing else 1
        return Room(most, min(most, least), min(most, lanes(step)))

    def _sql_rows(self, steps: Sequence[Step]) -> int:
        """Return how many runs go into one transaction: fewer if it changes more columns.

        DuckDB keeps the old and the new values in memory until the commit.
        """
        fields = {name for step in steps for name in step.set_expressions}
        columns = len(fields) + _ENGINE_COLUMNS_CHANGED
        return min(self._config.sql_batch_rows, max(1, _SQL_VALUES // columns))

    def _at_its_limit(self, key: tuple[str, int], step: Step) -> bool:
        return step.options.parallel is not None and self._out[key] >= step.options.parallel

    def _opened(self, queue: RunQueue, claim: Claim) -> Claim:
        most = self._most_of(claim)
        if most is not None:
            queue.return_runs(claim.span, claim.keep_first(most))
        self.breakers.record_claim(_key(claim), claim)
        self._count_toward_limit(claim.rows.num_rows)
        self._separate_suspects(queue, claim)
        self._claims.append(claim)
        self._bytes[claim.span.reruns] += claim.bytes
        self._bytes_per_row[_key(claim)] = max(1.0, claim.bytes / claim.rows.num_rows)
        return claim

    def _most_of(self, claim: Claim) -> int | None:
        """Return how many runs a new claim may keep; None for all of them."""
        left = self._left
        if left is not None and self._reruns is not None and claim.span.reruns:
            left = self._reruns.most_of(left)
        limits = (left, self.breakers.most_claimed(_key(claim)))
        return min((limit for limit in limits if limit is not None), default=None)

    def _separate_suspects(self, queue: RunQueue, claim: Claim) -> None:
        shared, suspects = queue.split_suspects(claim.step.from_code, claim.rows)
        if suspects.num_rows:
            claim.pending = deque([shared] if shared.num_rows else [])
            most = self._sizer.rows(claim.workflow.name, claim.step)
            for first in range(0, suspects.num_rows, most):
                part = suspects.slice(first, most)
                # Each of them may well end its worker again, so each is called by itself.
                self._suspect(claim, SuspectRows(part, Search(part.num_rows, crashes=1)))

    def _suspect(self, claim: Claim, suspects: SuspectRows) -> None:
        claim.out += 1
        self._out[_key(claim)] += 1
        self._suspects.append(ClaimedChunk(claim, suspects.rows, suspects.search))

    def _count_toward_limit(self, runs: int) -> None:
        if self._left is not None:
            self._left = max(0, self._left - runs)

    def _taken(self, claim: Claim) -> ClaimedChunk:
        chunk = ClaimedChunk(claim, claim.take(self._chunk_rows(claim)))
        self._untried.discard(_key(claim))
        self._out[_key(claim)] += 1
        return chunk

    def _chunk_rows(self, claim: Claim) -> int:
        """Return the size of the next chunk of a claim: an equal part for each worker, if possible.

        A part that a worker executes at once isn't divided, because that would save no time.
        """
        most = self._sizer.rows(claim.workflow.name, claim.step)
        queue = self.queues[claim.workflow.name]
        waiting = claim.rows.num_rows + queue.claimable(claim.span)
        workers, at_once = max(1, self._workers), min(most, lanes(claim.step))
        parts = -(-waiting // most)
        rows = max(at_once, -(-waiting // (-(-parts // workers) * workers)))
        # A rest of fewer runs than a worker executes at once goes with the others.
        is_rest = claim.pending_rows - rows < at_once and claim.step.options.chunk_rows is None
        return claim.pending_rows if is_rest else rows


def _key(claim: Claim) -> tuple[str, int]:
    return claim.workflow.name, claim.step.from_code
