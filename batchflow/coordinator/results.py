"""The results of a drain, from the worker's return to the tally."""

from __future__ import annotations

import contextlib
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

from batchflow.coordinator.calls import UnfinishedCall, log_abandoned
from batchflow.coordinator.committer import Committer
from batchflow.coordinator.settlement import SettledChunk, counts_of, refused_counts_of, settle
from batchflow.coordinator.writing import (
    WrittenResults,
    WrittenSpan,
    write_in_store,
    write_results,
)
from batchflow.definition import Outcome
from batchflow.errors import CommitError, StoreError
from batchflow.short_form import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import numpy as np

    from batchflow.chunk import ChunkResult
    from batchflow.coordinator.claim import ClaimedChunk
    from batchflow.coordinator.drain_context import DrainContext
    from batchflow.coordinator.intake import Intake, StoreSpan
    from batchflow.coordinator.tally import Tally
    from batchflow.definition import AnyWorkflow, Step
    from batchflow.store import StepCommit

log = logging.getLogger("batchflow")

# A commit costs some 10 ms, so that many small ones in a second would take all of it.
_GATHER_SECONDS: Final = 0.1


class Results:
    """Gathers results, writes them on a thread of its own, and counts what was stored.

    Attributes:
        committed: Whether something was written since the runs were last counted in the store.
        refusal: The last error of results that couldn't be stored, if there are any.
    """

    def __init__(self, context: DrainContext, intake: Intake, tally: Tally) -> None:
        self._store, self._clock = context.store, context.clock
        self._random, self._sizer = context.random, context.sizer
        self._listeners = context.listeners
        self._intake, self._tally = intake, tally
        self._gathered: list[SettledChunk] = []
        self._gathered_since = 0.0
        self._committer: Committer[WrittenResults | WrittenSpan] = Committer(context.executor.wake)
        self._stop = context.stop
        self._in_store: StoreSpan | None = None
        self._write_began = context.clock.now()
        self.committed = False
        self.refusal: CommitError | None = None

    @property
    def writing(self) -> bool:
        """Whether a write is under way, or its end wasn't recorded yet."""
        return self._committer.busy

    @property
    def pending(self) -> bool:
        """Whether there are results that aren't stored, or whose end wasn't recorded yet."""
        return bool(self._gathered) or self.writing

    def add(self, chunk: ClaimedChunk, result: ChunkResult) -> None:
        """Add the result of a chunk; its runs that weren't executed go back to its claim."""
        settled = settle(chunk, result, self._clock.now(), self._random)
        claim = chunk.claim
        executed = chunk.rows.num_rows - int(settled.first.counts[Outcome.RETURNED])
        if not chunk.suspect:
            self._sizer.observe(claim.workflow.name, claim.step, executed, settled.seconds)
        self._intake.record_seconds(chunk, settled.seconds)
        for each in settled.steps:
            # Before they are stored, so that no more chunks fail meanwhile.
            self._observe(claim.workflow, each.step, each.counts)
        self._intake.give_back(chunk, settled.returned)
        if settled.has_commit:
            self._gathered_since = self._gathered_since if self._gathered else time.monotonic()
            self._gathered.append(settled)
        else:
            self._complete(settled)

    @property
    def gather_seconds(self) -> float:
        """How much longer the results may wait for more of them, while these are small."""
        if not self._gathered or self.writing:
            return 0.0
        return max(0.0, self._gathered_since + _GATHER_SECONDS - time.monotonic())

    def begin_write(self, *, in_store: bool) -> None:
        """Begin the next write, of all gathered results, unless one is under way.

        Without results, a step is executed in the store, if `in_store` allows it.
        """
        if self.writing:
            return
        now = self._write_began = self._clock.now()
        self._in_store = None
        if self._gathered:
            gathered, self._gathered = self._gathered, []
            self._committer.begin(partial(write_results, self._store, gathered, now))
        elif in_store and (span := self._intake.next_in_store()):
            self._in_store = span
            self._committer.begin(partial(write_in_store, self._store, span, now, self._random))

    def record_written(self, begin_next: Callable[[], None]) -> None:
        """Count what the last write stored, if it has ended, while the next one is under way."""
        written, began = self._committer.finished(), self._write_began
        if written is None:
            return
        begin_next()
        self.committed = True
        match written:
            case WrittenResults():
                self._record_results(written, began)
            case WrittenSpan():
                self._record_span(written, began)
            case _:
                assert_never(written)
        self.notify_listeners()

    def notify_listeners(self) -> None:
        """Call the listeners with the tally."""
        for listener in self._listeners:
            listener(self._tally)

    def interrupt_in_store(self) -> bool:
        """Interrupt a step in the store if the time for the stop is over; return whether one was.

        Its runs stay as they are. Repeat it until the write has ended.
        """
        if not self.writing or self._in_store is None or self._stop.seconds_left != 0.0:
            return False
        self._store.interrupt_sql_step(self._committer.thread)
        return True

    def close(self) -> None:
        """Wait for the write under way, count what it stored, and store the costs."""
        self._committer.close(self.interrupt_in_store)
        self.record_written(begin_next=_begin_nothing)
        # A drain doesn't fail for statistics; what is wrong with the store shows elsewhere.
        with contextlib.suppress(CommitError, StoreError):
            self._store.store_costs()

    def _complete(self, settled: SettledChunk) -> None:
        workflow = settled.chunk.claim.workflow
        queue = self._intake.queues[workflow.name]
        for each in settled.steps:
            self._tally.add(workflow, each.step, each.counts, each.seconds)
            queue.record_skipped(each.step.from_code, each.skipped)
            _log_skipped(workflow, each.step, each.skipped.num_rows)
        self._intake.done(settled.chunk)

    def _record_results(self, written: WrittenResults, began: datetime) -> None:
        for given, result in written.stored:
            commit = given
            if result.instead is not None:
                commit = result.instead
                self._correct_tally(given, commit)
            if commit.errors.num_rows:
                self._tally.note_failures(began)
            queue = self._intake.queues[commit.workflow.name]
            queue.record_commit(commit, result, began)
            for code, counts in refused_counts_of(commit, result).items():
                self._tally.add_refused(commit.workflow, commit.workflow.steps[code], counts)
        for commit in written.refused:
            # Its runs are left alone for the rest of the drain.
            for code, counts in counts_of(commit).items():
                self._tally.add_returned(commit.workflow, commit.workflow.steps[code], counts)
            queue = self._intake.queues[commit.workflow.name]
            for rows in (commit.moved, commit.unmoved):
                queue.record_skipped(commit.step.from_code, rows)
            self.refusal = written.error
        for settled in written.settled:
            self._complete(settled)

    def _correct_tally(self, given: StepCommit, stored: StepCommit) -> None:
        """Count the runs that would have broken an invariant as failed."""
        for commit, sign in ((given, -1), (stored, 1)):
            for code, counts in counts_of(commit).items():
                step = commit.workflow.steps[code]
                self._tally.correct(commit.workflow, step, sign * counts)
                self._observe(commit.workflow, step, sign * counts)

    def _observe(self, workflow: AnyWorkflow, step: Step, counts: np.ndarray) -> None:
        self._intake.breakers.observe((workflow.name, step.from_code), counts)

    def _record_span(self, written: WrittenSpan, began: datetime) -> None:
        queue = written.span.queue
        executed = sum(result.runs for result in written.results)
        for result in written.results:
            if result.counts[Outcome.FAILED]:
                self._tally.note_failures(began)
            queue.record_sql_step(result, began)
            seconds = written.seconds * result.runs / max(1, executed)
            self._tally.add(queue.workflow, result.step, result.counts, seconds)
            self._observe(queue.workflow, result.step, result.counts)
        if written.interrupted:
            # The drain ends, so the span isn't claimed again.
            self._tally.unfinished_calls = (*self._tally.unfinished_calls, _unfinished(written))
            log_abandoned((_unfinished(written),))
        elif written.refused:
            # The span stays claimed, so that it is left alone for the rest of the drain.
            self.refusal = written.error
        self._intake.done_in_store(
            written.span, release=not (written.interrupted or written.refused)
        )


def _begin_nothing() -> None:
    """Begin no further write, as the drain ends."""


def _unfinished(written: WrittenSpan) -> UnfinishedCall:
    task = written.span
    workflow, step = task.queue.workflow, task.steps[0]
    return UnfinishedCall(
        workflow=workflow.name,
        step=step.name,
        status=workflow.statuses[step.from_code].name,
        run_id=None,
        runs=task.runs - sum(result.runs for result in written.results if result.step is step),
        since=written.began,
        worker=None,
    )


def _log_skipped(workflow: AnyWorkflow, step: Step, rows: int) -> None:
    if rows:
        log.info(
            "Workflow %s: step %s skipped %s.",
            workflow.title,
            step.name,
            counted(rows, "run"),
            extra={
                "action": "skip_runs",
                "workflow": workflow.name,
                "step": step.name,
                "runs": rows,
            },
        )
