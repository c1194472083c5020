"""The loop: claim → split → submit → collect → commit.

One thread runs it and owns all that is in here. It decides; it never touches runs one by one,
never speaks SQL and never starts a process. Others talk to it through ``loaded``, ``changed`` and
``stop``.
"""

from __future__ import annotations

import contextlib
import itertools
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from batchflow import crash_point
from batchflow.chunk import Chunk, ChunkResult
from batchflow.coordinator.chunk_sizer import ChunkSizer
from batchflow.coordinator.committer import Committer
from batchflow.coordinator.intake import Intake
from batchflow.coordinator.outcomes import (
    Settled,
    by_outcome,
    refused_by_outcome,
    result_of_lost,
    settle,
)
from batchflow.coordinator.stop import Stop
from batchflow.coordinator.tally import Tally
from batchflow.coordinator.writing import Written, write_in_store, write_results
from batchflow.definition import Outcome
from batchflow.errors import CommitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchflow.clock import Clock
    from batchflow.coordinator.claim import ClaimedChunk
    from batchflow.coordinator.config import CoordinatorConfig
    from batchflow.coordinator.drain import Drain
    from batchflow.definition import AnyWorkflow
    from batchflow.executor.protocol import Executor, LostChunk
    from batchflow.store import Store

# A row step hands back what it has after this long, so that commits keep coming.
_SLICE_SECONDS = 2.0
# One of suspects does after this long, as that much is done again where its worker ends.
_SUSPECTS_SLICE_SECONDS = 0.05
_FOR_COMMITS_ALONE = ["#version", "#run_state"]


class Coordinator:
    """Moves the runs of some workflows from status to status until nothing is runnable."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        workflows: Sequence[AnyWorkflow],
        clock: Clock,
        config: CoordinatorConfig,
    ) -> None:
        self.stop = Stop(self._wind_down)
        self.listeners: list[Callable[[Tally], None]] = []
        self._store = store
        self._executor = executor
        self._workflows = list(workflows)
        self._clock = clock
        self._config = config
        self._inbox: SimpleQueue[tuple[str, tuple[int, int, int] | None]] = SimpleQueue()
        self._random = np.random.default_rng(config.seed)
        self._chunk_ids = itertools.count()
        self._sizer = ChunkSizer()

    # What others tell it, from any thread.

    def loaded(self, workflow: str, code: int, first_seq: int, last_seq: int) -> None:
        """Say that runs were triggered."""
        self._inbox.put((workflow, (code, first_seq, last_seq)))
        self._executor.wake()

    def changed(self, workflow: str) -> None:
        """Say that runs were resumed, or changed otherwise."""
        self._inbox.put((workflow, None))
        self._executor.wake()

    def _wind_down(self) -> None:
        # At once, and not in the next cycle: inline, that begins only when the step has ended.
        self._executor.request_stop(stop=True)
        self._executor.wake()

    # What its own thread does.

    def drain(self, drain: Drain) -> Tally:
        """Move runs until nothing is runnable, or as ``drain`` says; answer what was done.

        Raises:
            StepCodeError, ResourceError: a step's code or resource can't be had in the workers.
            CommitError: some results couldn't be stored, not even in small commits; their runs are
                as they were, and all that could be done beside them is done.
            DiskFullError: there is no room left.
        """
        self._begin(drain)
        try:
            while self._cycle():
                pass
        finally:
            self._end()
        if self._refusal is not None:
            raise CommitError(
                "Some results couldn't be stored, not even by themselves: their runs are as they "
                f"were, for the next run to execute; all others are done. {self._refusal}"
            ) from self._refusal
        return self._tally

    def _begin(self, drain: Drain) -> None:
        self._drain = drain
        self._intake = Intake(
            self._store,
            self._workflows,
            self._config,
            self._sizer,
            self._executor.workers,
            drain.limit,
        )
        self._out: dict[int, ClaimedChunk] = {}
        self._collected: list[Settled] = []
        self._committer: Committer[Written] = Committer(self._executor.wake)
        self._executor.request_stop(stop=self.stop.requested)
        self._recount()
        standing = {name: queue.standing for name, queue in self._intake.queues.items()}
        self._tally = Tally(self._workflows, standing)
        self._tell()
        self._committed_since_refresh = False
        self._refusal: CommitError | None = None

    def _end(self) -> None:
        try:
            self._committer.close()
            self._note_written()
        finally:
            if self._out:
                # After an error, or past the grace time: what the workers still do is abandoned.
                self._executor.abandon()
            self._executor.request_stop(stop=False)

    def _cycle(self) -> bool:
        """Do all that can be done now, then wait for news; tell whether to go on."""
        self._hear()
        self._note_written()
        self._refresh()
        self._write()
        self._submit()
        self._write()
        if self._at_work:
            # What was finished in time is still written.
            if self.stop.seconds_left == 0.0 and not self._committer.busy:
                return False
        elif self._stopping:
            return False
        elif self._recounts():
            return True
        elif not self._waits:
            return False
        for done in self._executor.completed(self._patience()):
            self._collect(done)
        return True

    def _hear(self) -> None:
        while True:
            try:
                workflow, runs = self._inbox.get_nowait()
            except Empty:
                break
            queue = self._intake.queues[workflow]
            if runs is None:
                queue.changed()
            else:
                queue.loaded(*runs)

    def _refresh(self) -> None:
        # Of a commit under way nobody can tell whether the store's counts have it already.
        if not self._committer.busy:
            self._intake.refresh_due(self._clock.now())

    def _submit(self) -> None:
        if self._stopping:
            self._executor.request_stop(stop=True)
            return
        while self._executor.slots and (chunk := self._next_chunk()):
            self._send(chunk)
        # Last, as claims may hold some.
        while self._executor.suspect_slots and (chunk := self._intake.next_suspect()):
            self._send(chunk)

    def _next_chunk(self) -> ClaimedChunk | None:
        storing = bool(self._collected) or self._committer.busy
        return self._intake.next_chunk(self._clock.now(), storing=storing)

    def _send(self, chunk: ClaimedChunk) -> None:
        chunk_id = next(self._chunk_ids)
        workflow, step = chunk.claim.workflow, chunk.claim.step
        self._out[chunk_id] = chunk
        self._executor.submit(
            Chunk(
                chunk_id=chunk_id,
                workflow=workflow.name,
                from_code=step.from_code,
                rows=chunk.rows.drop_columns(_FOR_COMMITS_ALONE),
                run_id_base=self._store.run_id_base(workflow),
                slice_seconds=_slice_seconds(chunk),
                search=chunk.search,
                call_rows=self._sizer.call_rows(workflow.name, step),
            ),
            suspect=chunk.suspect,
        )
        crash_point.reached("chunks_in_flight")

    def _collect(self, done: ChunkResult | LostChunk) -> None:
        chunk = self._out.pop(done.chunk_id)
        if isinstance(done, ChunkResult):
            self._settle(chunk, done)
            return
        if done.blamed and not chunk.suspect:
            self._sizer.lost(chunk.claim.workflow.name, chunk.claim.step)
        convicted = self._intake.lost(chunk, done)
        if convicted is not None:
            self._settle(convicted, result_of_lost(done))

    def _settle(self, chunk: ClaimedChunk, result: ChunkResult) -> None:
        settled = settle(chunk, result, self._clock.now(), self._random)
        claim = chunk.claim
        executed = chunk.rows.num_rows - int(settled.counts[Outcome.RETURNED])
        if not chunk.suspect:
            self._sizer.observe(claim.workflow.name, claim.step, executed, settled.seconds)
        queue = self._intake.queues[claim.workflow.name]
        queue.skipped(claim.step.from_code, settled.skipped)
        self._intake.give_back(chunk, settled.returned)
        if settled.commit is None:
            self._tally.add(claim.workflow, claim.step, settled.counts, settled.seconds)
            self._intake.done(chunk)
        else:
            self._collected.append(settled)

    def _write(self) -> None:
        """Begin the next write, of all that has gathered, unless one is under way."""
        if self._committer.busy:
            return
        now = self._clock.now()
        if self._collected:
            settled, self._collected = self._collected, []
            self._committer.begin(partial(write_results, self._store, settled, now))
        elif not self._stopping and (task := self._intake.next_in_store()):
            self._committer.begin(partial(write_in_store, self._store, task, now, self._random))

    def _note_written(self) -> None:
        written = self._committer.finished()
        if written is None:
            return
        self._committed_since_refresh = True
        for commit, summary in zip(written.commits, written.summaries, strict=False):
            self._intake.queues[commit.workflow.name].stored(commit, summary)
            refused = refused_by_outcome(commit, summary)
            self._tally.add_refused(commit.workflow, commit.step, refused)
        self._note_refused(written)
        for settled in written.settled:
            claim = settled.chunk.claim
            self._tally.add(claim.workflow, claim.step, settled.counts, settled.seconds)
            self._intake.done(settled.chunk)
        if written.in_store is not None:
            self._note_written_in_store(written)
        self._tell()

    def _tell(self) -> None:
        for listener in self.listeners:
            listener(self._tally)

    def _note_refused(self, written: Written) -> None:
        """Let runs alone for the rest of this drain whose results the store didn't take."""
        for commit in written.refused:
            self._tally.add_returned(commit.workflow, commit.step, by_outcome(commit))
            for rows in (commit.moved, commit.held):
                queue = self._intake.queues[commit.workflow.name]
                queue.skipped(commit.step.from_code, rows)
        if written.refused or written.refused_in_store:
            self._refusal = written.error

    def _note_written_in_store(self, written: Written) -> None:
        assert written.in_store is not None
        task = written.in_store
        for summary in written.summaries:
            task.queue.stored_in_place(task.step, summary)
            self._tally.add(task.queue.workflow, task.step, summary.counts, 0.0)
        self._tally.steps[task.queue.workflow.name, task.step.from_code].seconds += written.seconds
        if not written.refused_in_store:
            task.queue.release(task.span)

    @property
    def _at_work(self) -> bool:
        return bool(self._out or self._collected or self._committer.busy)

    @property
    def _stopping(self) -> bool:
        until = self._drain.until
        if until is not None and not self.stop.requested and self._clock.now() >= until:
            self.stop.request(self._config.grace_seconds)
        return self.stop.requested

    def _recounts(self) -> bool:
        """Count anew what there is to do; tell whether something was committed since the last time.

        The counts are kept up as hints: a drain ends on the store's own word.
        """
        if not self._committed_since_refresh or self._drain.forever:
            return False
        self._committed_since_refresh = False
        self._recount()
        return True

    def _recount(self) -> None:
        """Count in the store who waits where; what was said of it until now is in that."""
        with contextlib.suppress(Empty):
            while True:
                self._inbox.get_nowait()
        self._intake.refresh(self._clock.now())

    @property
    def _waits(self) -> bool:
        """Whether there is something to wait for where nobody is at work."""
        if self._drain.forever:
            return True
        if self._intake.limit_reached:
            return False
        return self._drain.wait_for_retries and self._intake.due_at is not None

    def _patience(self) -> float | None:
        """Answer how long to wait for news, in seconds; ``None``: as long as it takes."""
        left = self.stop.seconds_left
        if left is not None:
            # With no time left the wait is for a commit alone, which says itself when it is done.
            return None if left == 0.0 and self._committer.busy else left
        # While results are being written nobody looks for retries; the end of that is news itself.
        due_at = None if self._committer.busy else self._intake.due_at
        known = [moment for moment in (due_at, self._drain.until) if moment]
        if not known:
            return None
        if self._at_work:
            # Whoever is at work may bring news earlier, so a clock that jumps must not do so here.
            return max(0.0, (min(known) - self._clock.now()).total_seconds())
        return self._clock.seconds_until(min(known))


def _slice_seconds(chunk: ClaimedChunk) -> float | None:
    if chunk.suspect:
        return _SUSPECTS_SLICE_SECONDS
    return _SLICE_SECONDS if chunk.claim.step.kind.calls_each_run else None
