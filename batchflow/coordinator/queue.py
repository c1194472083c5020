"""The runs of one workflow: how many wait at each status, and which to claim next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow import crash_point
from batchflow.coordinator.backlog import Backlog, Span
from batchflow.coordinator.claim import Claim
from batchflow.coordinator.deferral import Deferral
from batchflow.coordinator.reruns import Reruns
from batchflow.coordinator.status_counts import StatusCounts
from batchflow.coordinator.suspects import Suspects
from batchflow.definition import Outcome
from batchflow.definition.retry_decision import LONGEST_WAIT_SECONDS
from batchflow.store.runs.claimable import longest_wait_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchflow.definition import AnyWorkflow, Step
    from batchflow.store import CommitResult, SqlStepResult, StepCommit, Store

# Retries that are due within this time of each other are counted together.
_RETRY_SLACK = timedelta(milliseconds=100)


@dataclass(frozen=True)
class Room:
    """How many runs a claim may have.

    Attributes:
        most: The most runs.
        least: The least runs.
        enough: As many as a worker executes at once. Claims of fewer are put off as long as there
            is another.
    """

    most: int
    least: int = 1
    enough: int = 1


class RunQueue:
    """Claims runs of one workflow, those at later statuses first, so that runs finish.

    Attributes:
        status_counts: The number of the drain's runs at each status.
    """

    def __init__(
        self, workflow: AnyWorkflow, store: Store, *, visits: bool = True, reruns: bool = False
    ) -> None:
        self.workflow = workflow
        self._visits = visits and workflow.visits
        self._retry_at: datetime | None = None
        self._resume_at: datetime | None = None
        self.status_counts = StatusCounts(workflow)
        self._outdated = False
        self._began: datetime | None = None
        self._store = store
        self._backlog = Backlog(len(workflow.statuses))
        # Only if they have claims of their own.
        self._reruns = Reruns() if reruns else None
        self._backlog_of_reruns = Backlog(len(workflow.statuses), reruns=True)
        self._skipped = Deferral()
        self._repeated = Deferral()
        self._suspects = Suspects(store.suspects(workflow))
        self._by_rank = sorted(workflow.steps, key=lambda code: -int(workflow.rank[code]))
        longest = max(map(longest_wait_seconds, workflow.steps.values()), default=0.0)
        self._longest_wait = timedelta(seconds=longest) + _RETRY_SLACK
        self._has_step = np.zeros(len(workflow.statuses), np.bool_)
        self._has_step[list(workflow.steps)] = True
        reach = workflow.visit_moves.within_reach
        self._within_reach = {code: reach(code) for code in workflow.steps}
        self._onward = {code: self._steps_onward(code) for code in workflow.steps}

    def refresh(self, now: datetime) -> None:
        """Count the waiting runs in the store, and find out when the next retry is due.

        Paused runs that their step's `Retry` lets continue now are put back before.
        """
        self._began = self._began or now
        self._resume_at = _with_slack(self._store.retry_paused(self.workflow, now))
        counted = self._store.backlog(self.workflow, now)
        self._backlog.replace(counted.waiting)
        self.status_counts.replace_waiting(self._backlog.waiting, counted)
        if self._reruns is not None:
            self._count_reruns(self._reruns, now)
        self._retry_at = _with_slack(counted.next_attempt_at)
        self._outdated = False

    def _count_reruns(self, reruns: Reruns, now: datetime) -> None:
        found = self._store.reruns(self.workflow, now)
        claimed = self._store.claimed.of(self.workflow.name)["seq"].to_numpy()
        reruns.replace(found["seq"].to_numpy(), claimed)
        self._backlog_of_reruns.clear()
        due = found.filter(found["due"])
        seqs, codes = due["seq"].to_numpy(), due["status"].to_numpy()
        for code, step in self.workflow.steps.items():
            # Steps in the store take no worker.
            if not step.kind.in_store:
                here = seqs[codes == code]
                here = here[reruns.contain(here)]
                self._backlog.move_to(self._backlog_of_reruns, code, here)

    @property
    def due_at(self) -> datetime | None:
        """The time at which the next retry is due, or the next paused run is put back."""
        known = [moment for moment in (self._retry_at, self._resume_at) if moment is not None]
        return min(known, default=None)

    def refresh_due(self, now: datetime) -> None:
        """Count the waiting runs again if others changed some, or if a retry is due."""
        if self.is_refresh_due(now):
            self.refresh(now)

    def is_refresh_due(self, now: datetime) -> bool:
        """Return whether `refresh_due` would count them.

        A retry that is further away than any wait is due too: the clock was set back.
        """
        due_at, retry_at = self.due_at, self._retry_at
        is_due = due_at is not None and due_at <= now
        is_late = retry_at is not None and retry_at > now + self._longest_wait
        return is_due or is_late or self._outdated

    def record_change(self) -> None:
        """Record that others changed runs."""
        self._outdated = True

    def record_put_back(self, completed: pa.Table) -> None:
        """Record that runs were put back, some of which may have been completed in this drain."""
        self._outdated = True
        if self._began is not None:
            here = completed.filter(pc.greater_equal(completed["updated_at"], self._began))
            self.status_counts.reopen(here["status"].to_numpy())

    def record_load(self, code: int, first_seq: int, last_seq: int) -> None:
        """Record new runs."""
        if self._has_step[code]:
            self._backlog.add_range(code, first_seq, last_seq)
            self.status_counts.add_loaded(code, last_seq - first_seq + 1)

    def next_span(
        self, room: Callable[[Step], Room], *, may_turn: bool, reruns: bool = False
    ) -> Span | None:
        """Choose the span to claim next; None if nothing is claimable now.

        ``room`` returns how many runs of a step may be claimed now. If nothing is left in this
        turn, the next one begins, unless ``may_turn`` is false. With ``reruns``, only runs that
        were put back are in it.
        """
        backlog = self._backlog_of_reruns if reruns else self._backlog
        span = self._next_in_this_turn(backlog, room)
        if span is None and may_turn and self._begin_next_turn():
            span = self._next_in_this_turn(backlog, room)
        return span

    def claim(self, span: Span, now: datetime) -> Claim | None:
        """Claim the runs of a span; None if there are none after all."""
        crash_point.reached("before_claim")
        step = self.workflow.steps[span.code]
        backlog = self._backlog_of(span)
        backlog.claim(span)
        rows = self._without_deferred(span, self._of_kind(span, self._select(span, step, now)))
        if rows.num_rows:
            self._store.claimed.add(self.workflow.name, span, rows)
            return Claim(self.workflow, step, span, rows)
        backlog.release(span)
        return None

    def claim_in_store(self, span: Span, now: datetime, most: int | None) -> tuple[range, int]:
        """Claim a span for a step in the store, or its first runs.

        Returns:
            The seqs to execute, and how many runs wait there.
        """
        crash_point.reached("before_claim")
        runs = self._backlog.claim(span)
        if most is None:
            return range(span.first_seq, span.last_seq + 1), runs
        rows = self._store.claim(self.workflow, span.code, span.first_seq, span.last_seq, now, ())
        seqs = np.sort(rows["#seq"].to_numpy())
        self._backlog.add(span.code, seqs[most:])
        end = int(seqs[most]) if len(seqs) > most else span.last_seq + 1
        return range(span.first_seq, end), min(most, len(seqs))

    def steps_in_store(self, code: int) -> tuple[Step, ...]:
        """Return the SQL step of a status, and those that its runs may go on to before a commit.

        They are in the order of their statuses.
        """
        return self._onward[code]

    def release(self, span: Span) -> None:
        """Make a span claimable again, after all of it was committed or returned."""
        self._backlog_of(span).release(span)
        self._store.claimed.remove(self.workflow.name, span)

    def record_skipped(self, code: int, rows: pa.Table) -> None:
        """Leave these runs alone until something changes them."""
        self.status_counts.remove(code, rows.num_rows)
        self._skipped.add(rows["#seq"].to_numpy(), rows["#version"].to_numpy())

    def record_suspects(self, code: int, rows: pa.Table) -> None:
        """Record runs that ended their worker."""
        self._suspects.add(code, rows["#seq"].to_numpy())

    def split_suspects(self, code: int, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Split a claim into the runs that may share a worker, and those that ended one before."""
        suspect = self._suspects.contains(code, rows["#seq"].to_numpy())
        if not suspect.any():
            return rows, rows.slice(0, 0)
        return rows.filter(pa.array(~suspect)), rows.filter(pa.array(suspect))

    def may_visit(self, code: int, rows: pa.Table) -> bool:
        """Return whether runs at a status may go on to further steps before a commit.

        Runs that ended a worker at one of them may not share a worker there.
        """
        if not self._visits:
            return False
        seqs = rows["#seq"].to_numpy()
        return not any(self._suspects.contains(at, seqs).any() for at in self._within_reach[code])

    @property
    def claimable_in_this_turn(self) -> int:
        """The number of runs that can be claimed before the next turn begins."""
        backlogs = (self._backlog, self._backlog_of_reruns)
        return sum(each.claimable(code) for code in self.workflow.steps for each in backlogs)

    def return_runs(self, span: Span, rows: pa.Table) -> None:
        """Count these runs of a span as waiting, as if they hadn't been claimed."""
        self._backlog_of(span).add(span.code, rows["#seq"].to_numpy())

    def record_commit(self, commit: StepCommit, result: CommitResult, at: datetime) -> None:
        """Record a commit at a time: its runs wait at their new statuses."""
        if len(result.refused_seqs):
            seqs = pa.concat_tables([t.select(["#seq"]) for t in (commit.moved, commit.unmoved)])
            kept = ~np.isin(seqs["#seq"].to_numpy(), result.refused_seqs)
            commit = commit.of_runs(seqs["#seq"].combine_chunks().filter(pa.array(kept)))
        moved = commit.moved
        seqs, to_codes = moved["#seq"].to_numpy(), moved["#to"].to_numpy()
        from_codes = self._last_from(commit)
        # A run that advances to its own status is executed again like one that repeats.
        repeated = (moved["#outcome"].to_numpy() == Outcome.REPEATED) | (to_codes == from_codes)
        if repeated.any():
            moves = moved["#moves"].to_numpy() if "#moves" in moved.column_names else 1
            versions = moved["#version"].to_numpy() + moves
            self._repeated.add(seqs[repeated], versions[repeated])
        self._expect_retry(commit.next_attempt_at)
        self._expect_resume(commit.step, commit.paused, at)
        later = self.workflow.rank[to_codes] <= self.workflow.rank[from_codes]
        for next_turn in (False, True):
            here = later == next_turn
            self._add(to_codes[here], seqs[here], next_turn=next_turn)
        self.status_counts.add_commit(commit)

    @staticmethod
    def _last_from(commit: StepCommit) -> np.ndarray:
        """Return the status of each moved run before its last transition."""
        moved = commit.moved
        if "#from" in moved.column_names:
            return np.asarray(moved["#from"].to_numpy())
        return np.full(moved.num_rows, commit.step.from_code)

    def record_sql_step(self, result: SqlStepResult, at: datetime) -> None:
        """Record a step in the store, committed at a time: its runs wait at their new statuses."""
        waits = self._has_step[result.arrived_counts["to"].to_numpy()]
        arrived = result.arrived_counts.filter(pa.array(waits))
        self._backlog.add_counted(arrived, later=self._later(result.step))
        self._expect_retry(result.next_attempt_at)
        self._expect_resume(result.step, result.paused, at)
        self.status_counts.add_sql_step(result)

    @property
    def runs_for_workers(self) -> int:
        """The number of waiting runs whose step is executed in a worker."""
        codes = [code for code, step in self.workflow.steps.items() if not step.kind.in_store]
        waiting = self._backlog.waiting + self._backlog_of_reruns.waiting
        return int(waiting[codes].sum())

    def claimable(self, span: Span) -> int:
        """Return about how many runs like those of a claimed span can be claimed besides it."""
        return self._backlog_of(span).claimable(span.code)

    def waiting(self, code: int) -> int:
        """Return about how many runs wait at a status, in this turn or the next."""
        return int(self._backlog.waiting[code] + self._backlog_of_reruns.waiting[code])

    def _backlog_of(self, span: Span) -> Backlog:
        return self._backlog_of_reruns if span.reruns else self._backlog

    def _next_in_this_turn(self, backlog: Backlog, room: Callable[[Step], Room]) -> Span | None:
        rooms = {code: room(self.workflow.steps[code]) for code in self._by_rank}
        open_ = {code: rows for code, rows in rooms.items() if rows.most}
        enough = {code: max(rows.least, rows.enough) for code, rows in open_.items()}
        span = _first_span(backlog, enough, open_)
        if span is None and any(rows.enough > rows.least for rows in open_.values()):
            span = _first_span(backlog, {code: rows.least for code, rows in open_.items()}, open_)
        return span

    def _begin_next_turn(self) -> bool:
        self._repeated.clear()
        began = self._backlog.begin_next_turn()
        return self._backlog_of_reruns.begin_next_turn() or began

    def _select(self, span: Span, step: Step, now: datetime) -> pa.Table:
        fields = self._fields_for(step)
        return self._store.claim(
            self.workflow, span.code, span.first_seq, span.last_seq, now, fields
        )

    def _fields_for(self, step: Step) -> tuple[str, ...]:
        """Return the fields that the steps of a visit read which begins with this step."""
        codes = self._within_reach[step.from_code] if self._visits else {step.from_code}
        read = [self.workflow.steps[code].options.columns for code in codes]
        names = {name for columns in read for name in columns or ()}
        fields = (field.name for field in self.workflow.fields)
        return tuple(name for name in fields if None in read or name in names)

    def _steps_onward(self, code: int) -> tuple[Step, ...]:
        reached = self.workflow.visit_moves.onward(code) if self._visits else ()
        by_rank = sorted(reached, key=lambda to: int(self.workflow.rank[to]))
        return tuple(self.workflow.steps[at] for at in (code, *by_rank))

    def _of_kind(self, span: Span, rows: pa.Table) -> pa.Table:
        """Leave re-runs to spans of their own, and other runs to the others."""
        if self._reruns is None or not rows.num_rows:
            return rows
        seqs = rows["#seq"].to_numpy()
        are_reruns = self._reruns.contain(seqs)
        if not span.reruns and not are_reruns.any():
            return rows
        if not span.reruns:
            self._backlog.move_to(self._backlog_of_reruns, span.code, seqs[are_reruns])
        return rows.filter(pa.array(are_reruns == span.reruns))

    def _without_deferred(self, span: Span, rows: pa.Table) -> pa.Table:
        if not (self._skipped or self._repeated) or not rows.num_rows:
            return rows
        seqs, versions = rows["#seq"].to_numpy(), rows["#version"].to_numpy()
        repeated = self._repeated.contains(seqs, versions)
        self._backlog_of(span).add(span.code, seqs[repeated], next_turn=True)
        return rows.filter(pa.array(~repeated & ~self._skipped.contains(seqs, versions)))

    def _add(self, codes: np.ndarray, seqs: np.ndarray, *, next_turn: bool) -> None:
        """Count the runs as waiting at those statuses that have a step."""
        arrived = np.bincount(codes, minlength=len(self._has_step))
        for code in np.flatnonzero(arrived):
            if self._has_step[code]:
                here = seqs if arrived[code] == len(seqs) else seqs[codes == code]
                self._backlog.add(int(code), here, next_turn=next_turn)

    def _later(self, step: Step) -> np.ndarray:
        """Return for each status whether runs that the step moves there wait for the next turn."""
        later: np.ndarray = self.workflow.rank <= self.workflow.rank[step.from_code]
        return later

    def _expect_retry(self, moment: datetime | None) -> None:
        moment = _with_slack(moment)
        if moment is not None and (self._retry_at is None or moment < self._retry_at):
            self._retry_at = moment

    def _expect_resume(self, step: Step, paused: int, at: datetime) -> None:
        """Expect that runs which were paused at a time are put back, as failures may have been."""
        seconds = step.options.retry.resume_seconds
        if paused and seconds is not None:
            moment = at + timedelta(seconds=min(seconds, LONGEST_WAIT_SECONDS)) + _RETRY_SLACK
            self._resume_at = min(moment, self._resume_at or moment)


def _first_span(
    backlog: Backlog, least: Mapping[int, int], rooms: Mapping[int, Room]
) -> Span | None:
    spans = (backlog.next_span(code, rooms[code].most, least[code]) for code in rooms)
    return next((span for span in spans if span is not None), None)


def _with_slack(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment + _RETRY_SLACK
