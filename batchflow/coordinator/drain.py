"""The drain under way: claim, submit, collect, commit, until no run is left to execute.

One thread runs it and owns its state. It decides which runs are executed when; it never handles
runs one by one, executes SQL or starts a process.
"""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING, Final, assert_never

from batchflow.coordinator.calls import Calls, log_abandoned
from batchflow.coordinator.flight import ChunksInFlight
from batchflow.coordinator.intake import Demand, Intake
from batchflow.coordinator.rerun_share import RerunShare
from batchflow.coordinator.results import Results
from batchflow.coordinator.scaling import Scaling
from batchflow.coordinator.tally import Ending, Tally
from batchflow.errors import CommitError, EngineStateError
from batchflow.executor.protocol import ScalingExecutor

if TYPE_CHECKING:
    from batchflow.coordinator.claim import ClaimedChunk
    from batchflow.coordinator.drain_context import DrainContext
    from batchflow.coordinator.drain_options import DrainOptions

# DuckDB forgets an interruption that comes between two statements.
_INTERRUPT_AGAIN_SECONDS: Final = 0.05
# Python calls signal handlers in the main thread, whose wait doesn't end if the operating system
# gives the signal to another thread, such as one of DuckDB's.
_LONGEST_WAIT_IN_MAIN_THREAD_SECONDS: Final = 0.25


class Drain:
    """One drain, from its beginning to its end; `run` may be called once."""

    def __init__(self, context: DrainContext, options: DrainOptions) -> None:
        self._executor, self._stop = context.executor, context.stop
        self._clock, self._inbox = context.clock, context.inbox
        self._claimed, self._random = context.store.claimed, context.random
        self._grace_seconds = context.config.grace_seconds
        self._options = options
        self._reached_until = False
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._longest_wait = _LONGEST_WAIT_IN_MAIN_THREAD_SECONDS if in_main_thread else None
        share = None if options.rerun_share is None else RerunShare(options.rerun_share)
        self._intake = Intake(
            context.store, context.workflows, context.config, context.sizer, options.limit, share
        )
        self._flight = ChunksInFlight(context, self._intake)
        self._calls = Calls(context, self._flight)
        queues = self._intake.queues.items()
        self._tally = Tally(
            context.workflows, {name: queue.status_counts for name, queue in queues}
        )
        self._tally.breakers = self._intake.breakers.by_step
        self._results = Results(context, self._intake, self._tally)
        self._scaling: Scaling | None = None
        if isinstance(context.executor, ScalingExecutor):
            self._scaling = Scaling(context.executor, context.workflows)

    def run(self) -> Tally:
        """Drain, and return what was done; raises as `Coordinator.drain`."""
        try:
            self._begin()
            self._cycle_to_the_end()
            self._give_up_calls()
            self._tally.left_by_breakers = self._intake.waiting_for_breakers
            self._tally.ending = self._ending()
        finally:
            self._end()
        refusal = self._results.refusal
        if refusal is not None:
            raise CommitError(
                "Some results couldn't be stored, not even one by one. Their runs are unchanged, "
                f"and the next run() executes them again; all others are stored. {refusal}"
            ) from refusal
        return self._tally

    def _cycle_to_the_end(self) -> None:
        try:
            while self._cycle():
                pass
        except KeyboardInterrupt:
            # The second signal breaks into a step in this thread, and the drain ends as it does if
            # the step is executed elsewhere.
            if not self._stop.at_once:
                raise

    def _begin(self) -> None:
        self._calls.start()
        self._executor.request_stop(stop=self._stop.requested)
        self._adapt()
        self._tally.awaits_retries = self._options.wait_for_retries or self._options.forever
        self._recount()
        self._results.notify_listeners()

    def _give_up_calls(self) -> None:
        """Name the calls that didn't return within the grace time; each counts as an attempt.

        If the calls had no time, they are named only, because they may not hang at all.
        """
        if not self._flight:
            return
        calls = self._calls.under_way()
        abandoned = tuple(calls.values())
        self._tally.unfinished_calls = (*self._tally.unfinished_calls, *abandoned)
        log_abandoned(abandoned)
        if not self._stop.at_once:
            for chunk, result in self._flight.surrendered(calls):
                self._results.add(chunk, result)
            self._results.begin_write(in_store=False)

    def _end(self) -> None:
        try:
            self._calls.close()
            self._results.close()
        finally:
            if self._flight:
                # After an error or the grace time, the chunks under way are abandoned.
                self._executor.abandon()
            self._claimed.clear()
            self._executor.request_stop(stop=False)

    def _cycle(self) -> bool:
        """Do all that can be done now, then wait for news; return whether to continue."""
        self._update()
        self._commit()
        self._submit()
        self._commit()
        match self._next():
            case _Next.WAIT:
                self._collect()
                return True
            case _Next.AGAIN:
                return True
            case _Next.END:
                return False
            case next_:
                assert_never(next_)

    def _update(self) -> None:
        """Apply what other threads, the writing thread, the clock and the executor changed."""
        self._inbox.deliver(self._intake.queues)
        self._results.record_written(begin_next=self._commit_at_once)
        if self._intake.follow_breakers(self._clock.now(), self._random):
            self._results.notify_listeners()
        if not self._results.writing:
            # During a commit, the store's counts may include its changes or not.
            self._intake.refresh_due(self._clock.now())
        self._adapt()

    def _adapt(self) -> None:
        workers = self._executor.workers
        self._intake.adapt_to(workers)
        self._tally.workers = max(1, workers)
        self._tally.chunks_in_flight = len(self._flight)
        if self._scaling is not None and self._scaling.follow(self._tally):
            self._results.notify_listeners()

    def _commit(self) -> None:
        if not self._gather_seconds:
            self._results.begin_write(in_store=not self._stopping)

    def _commit_at_once(self) -> None:
        """Let the next commit of results not wait until the last one is counted.

        Only between commits can the store count the runs, if others changed some of them. A step in
        the store waits, because its breaker may open.
        """
        if not (self._gather_seconds or self._intake.is_refresh_due(self._clock.now())):
            self._results.begin_write(in_store=False)

    @property
    def _gather_seconds(self) -> float:
        """How long results may wait for more: not if a worker has nothing to do meanwhile.

        While runs are isolated, most results are small.
        """
        if self._stop.requested or not self._flight.has_suspects:
            return 0.0
        busy = self._flight.occupies(self._executor.workers)
        return self._results.gather_seconds if busy else 0.0

    def _submit(self) -> None:
        if self._stopping:
            self._executor.request_stop(stop=True)
            return
        while self._executor.slots and (chunk := self._next_chunk()):
            self._flight.submit(chunk)
        # After the others, because their claims may contain suspects.
        while self._executor.suspect_slots and (chunk := self._intake.next_suspect()):
            self._flight.submit(chunk)
        if self._flight.has_long or (not self._flight and not self._executor.slots):
            # Steps in the store need no worker.
            may_turn = not self._flight and not self._results.pending
            self._intake.find_in_store(self._clock.now(), may_turn=may_turn)

    def _next_chunk(self) -> ClaimedChunk | None:
        ahead = self._flight.occupies(self._executor.workers)
        if ahead and self._flight.has_long:
            return None
        demand = Demand(storing=self._results.pending, ahead=ahead)
        return self._intake.next_chunk(self._clock.now(), demand)

    def _collect(self) -> None:
        waits = self._patience_seconds(), self._gather_seconds or None, self._longest_wait
        patience = min((wait for wait in waits if wait is not None), default=None)
        for chunk, result in self._flight.collect(patience):
            self._results.add(chunk, result)

    def _next(self) -> _Next:
        if self._busy:
            # Results that were returned within the grace time are still written.
            is_over = self._stop.seconds_left == 0.0 and not self._results.writing
            return _Next.END if is_over else _Next.WAIT
        if self._stopping:
            return _Next.END
        if self._intake.has_work(self._clock.now()):
            return self._next_without_slot()
        if self._recounts():
            return _Next.AGAIN
        return _Next.WAIT if self._awaits_runs else _Next.END

    def _next_without_slot(self) -> _Next:
        """Return what to do about runs that wait for a worker.

        Raises:
            EngineStateError: No worker is free, and the executor expects none.
        """
        self._executor.start()
        # Before the slots, because the expected worker may arrive in between.
        expected = self._executor.expects_workers
        if self._intake.fits(self._executor.slots, self._executor.suspect_slots):
            return _Next.AGAIN
        if expected:
            return _Next.WAIT
        self._recount()
        runs = self._intake.runs_for_workers
        raise EngineStateError(
            f"No worker is left, and the executor expects none, so {runs:,} "
            f"{'run waits' if runs == 1 else 'runs wait'} for a step. Provide workers, or open the "
            "engine with another executor, then run again. Nothing was lost."
        )

    def _recounts(self) -> bool:
        """Count the runs again in the store, if something was committed since the last time.

        The drain's own counts are hints, so only the store's counts can end it.
        """
        if self._options.forever or not self._results.committed:
            return False
        self._recount()
        return True

    def _recount(self) -> None:
        # First, because the store's counts include the changes that the notices are about.
        self._inbox.deliver(self._intake.queues)
        self._results.committed = False
        self._intake.refresh(self._clock.now())

    @property
    def _busy(self) -> bool:
        return bool(self._flight) or self._results.pending

    @property
    def _stopping(self) -> bool:
        until = self._options.until
        if until is not None and not self._stop.requested and self._clock.now() >= until:
            self._reached_until = True
            self._stop.request(self._grace_seconds)
        return self._stop.requested

    def _ending(self) -> Ending:
        if self._reached_until:
            return Ending.UNTIL
        if self._stop.requested:
            return Ending.STOPPED
        if self._intake.limit_reached:
            return Ending.LIMIT
        return Ending.BREAKER if self._tally.left_by_breakers else Ending.IDLE

    @property
    def _awaits_runs(self) -> bool:
        """Whether runs may become executable without any being executed now."""
        if self._options.forever:
            return True
        if self._intake.limit_reached:
            return False
        due_at, until = self._intake.due_at, self._options.until
        if due_at is None or not self._options.wait_for_retries:
            return False
        return until is None or due_at < until

    def _patience_seconds(self) -> float | None:
        """Return how long to wait for news; None without a limit."""
        left = self._stop.seconds_left
        if left is not None:
            if left == 0.0 and self._results.interrupt_in_store():
                return _INTERRUPT_AGAIN_SECONDS
            # After the grace time only a commit is awaited, and its end is news.
            return None if left == 0.0 and self._results.writing else left
        # Retries aren't looked for during a commit, and its end is news.
        due_at = None if self._results.writing else self._intake.due_at
        known = [moment for moment in (due_at, self._options.until) if moment]
        if not known:
            return None
        if self._busy or self._intake.has_pending:
            # Chunks and workers may bring news earlier, so a clock that jumps must not do so here.
            return max(0.0, (min(known) - self._clock.now()).total_seconds())
        return self._clock.seconds_until(min(known))


class _Next(enum.Enum):
    """The continuation of a cycle after all that can be done now was done."""

    WAIT = "wait for news"
    AGAIN = "look again for work"
    END = "end the drain"
