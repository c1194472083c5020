"""One workflow's runs as the coordinator sees them: who waits where, and what to claim next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from batchflow import crash_point
from batchflow.coordinator.backlog import Backlog, Span
from batchflow.coordinator.claim import Claim
from batchflow.coordinator.deferral import Deferral
from batchflow.coordinator.outcomes import earliest
from batchflow.coordinator.standing import Standing
from batchflow.coordinator.suspects import Suspects
from batchflow.definition import Outcome
from batchflow.store.runs.claimable import longest_wait_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchflow.definition import AnyWorkflow, Step
    from batchflow.store import CommitSummary, StepCommit, Store

# Retries that fall due within this time of each other are looked for together.
_RETRY_SLACK = timedelta(milliseconds=100)


@dataclass(frozen=True)
class Room:
    """How many runs a claim may take: at most, and at least where more are on their way."""

    most: int
    least: int = 1


class RunQueue:
    """Claims for one workflow, later statuses first, so that work drains and doesn't pile up.

    Attributes:
        due_at: when the next retry falls due.
        standing: where the drain's runs are.
    """

    def __init__(self, workflow: AnyWorkflow, store: Store) -> None:
        self.workflow = workflow
        self.due_at: datetime | None = None
        self.standing = Standing(workflow)
        self._outdated = False
        self._store = store
        self._backlog = Backlog(len(workflow.statuses))
        self._skipped = Deferral()
        self._repeated = Deferral()
        self._suspects = Suspects(store.suspects(workflow))
        self._by_rank = sorted(workflow.steps, key=lambda code: -int(workflow.rank[code]))
        longest = max(map(longest_wait_seconds, workflow.steps.values()), default=0.0)
        self._longest_wait = timedelta(seconds=longest) + _RETRY_SLACK
        self._has_step = np.zeros(len(workflow.statuses), np.bool_)
        self._has_step[list(workflow.steps)] = True

    def refresh(self, now: datetime) -> None:
        """Count anew, in the store, who waits where and when the next retry is due."""
        counted = self._store.backlog(self.workflow, now)
        self._backlog.replace(counted.waiting)
        self.standing.recounted(self._backlog.waiting)
        self.due_at = _with_slack(counted.next_attempt_at)
        self._outdated = False

    def refresh_due(self, now: datetime) -> None:
        """Count anew what others changed, or where a retry has fallen due.

        The clock may have been set back since that was foreseen.
        """
        due_at = self.due_at
        is_due = due_at is not None and (due_at <= now or due_at > now + self._longest_wait)
        if is_due or self._outdated:
            self.refresh(now)

    def changed(self) -> None:
        """Take note that others changed runs."""
        self._outdated = True

    def loaded(self, code: int, first_seq: int, last_seq: int) -> None:
        """Take note of newly triggered runs."""
        if self._has_step[code]:
            self._backlog.add_range(code, first_seq, last_seq)
            self.standing.loaded(code, last_seq - first_seq + 1)

    def next_span(self, room: Callable[[Step], Room], *, may_turn: bool) -> Span | None:
        """Choose what to claim next; ``None`` when nothing is claimable now.

        ``room`` answers how many runs of a step may be claimed at present; ``may_turn`` tells
        whether a new turn may begin where nothing is left in this one.
        """
        span = self._next_in_this_turn(room)
        if span is None and may_turn and self._begin_next_turn():
            span = self._next_in_this_turn(room)
        return span

    def claim(self, span: Span, now: datetime) -> Claim | None:
        """Take the runs of a span; ``None`` when nobody is there after all."""
        crash_point.reached("before_claim")
        step = self.workflow.steps[span.code]
        self._backlog.claim(span)
        rows = self._without_deferred(span, self._select(span, step, now))
        if rows.num_rows:
            return Claim(self.workflow, step, span, rows)
        self._backlog.release(span)
        return None

    def claim_whole(self, span: Span) -> int:
        """Take a span for a step that never leaves the store; answer how many wait there."""
        crash_point.reached("before_claim")
        return self._backlog.claim(span)

    def release(self, span: Span) -> None:
        """Make a span claimable again, once all that was taken of it is committed or given back."""
        self._backlog.release(span)

    def skipped(self, code: int, rows: pa.Table) -> None:
        """Leave these runs alone until something changes them."""
        self.standing.let_go(code, rows.num_rows)
        self._skipped.add(rows["#seq"].to_numpy(), rows["#version"].to_numpy())

    def ended_worker(self, code: int, rows: pa.Table) -> None:
        """Take note of runs that ended their worker when they were alone there."""
        self._suspects.add(code, rows["#seq"].to_numpy())

    def split_suspects(self, code: int, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Split a claim in those that may share a worker, and those that ended one before."""
        suspect = self._suspects.contains(code, rows["#seq"].to_numpy())
        if not suspect.any():
            return rows, rows.slice(0, 0)
        return rows.filter(pa.array(~suspect)), rows.filter(pa.array(suspect))

    def given_back(self, code: int, rows: pa.Table) -> None:
        """Count these runs as waiting, as if they hadn't been claimed."""
        self._backlog.add(code, rows["#seq"].to_numpy())

    def stored(self, commit: StepCommit, summary: CommitSummary) -> None:
        """Take note of what a commit moved to where."""
        moved = commit.moved
        seqs = moved["#seq"].to_numpy()
        codes = moved["#to"].to_numpy()
        # A step that advances a run to its own status has it looked at again like one that repeats.
        repeated = (moved["#outcome"].to_numpy() == Outcome.REPEATED) | (
            codes == commit.step.from_code
        )
        if len(summary.refused_seqs):
            kept = ~np.isin(seqs, summary.refused_seqs)
            seqs, codes, repeated = seqs[kept], codes[kept], repeated[kept]
            moved = moved.filter(pa.array(kept))
        if repeated.any():
            versions = moved["#version"].to_numpy() + 1
            self._repeated.add(seqs[repeated], versions[repeated])
        self._heed(earliest(commit.held))
        self._add(codes, seqs, self._later(commit.step))
        self.standing.stored(commit, np.bincount(codes, minlength=len(self._has_step)))

    def stored_in_place(self, step: Step, summary: CommitSummary) -> None:
        """Take note of what a step in the store moved."""
        waits = self._has_step[summary.landed["to"].to_numpy()]
        self._backlog.add_counted(summary.landed.filter(pa.array(waits)), later=self._later(step))
        self._heed(summary.next_attempt_at)
        self.standing.stored_in_place(step, summary)

    def _next_in_this_turn(self, room: Callable[[Step], Room]) -> Span | None:
        for code in self._by_rank:
            rows = room(self.workflow.steps[code])
            if rows.most == 0:
                continue
            span = self._backlog.next_span(code, rows.most, rows.least)
            if span is not None:
                return span
        return None

    def _begin_next_turn(self) -> bool:
        self._repeated.clear()
        return self._backlog.begin_next_turn()

    def _select(self, span: Span, step: Step, now: datetime) -> pa.Table:
        fields = step.options.columns
        if fields is None:
            fields = tuple(field.name for field in self.workflow.fields)
        return self._store.claim(
            self.workflow, span.code, span.first_seq, span.last_seq, now, fields
        )

    def _without_deferred(self, span: Span, rows: pa.Table) -> pa.Table:
        if not (self._skipped or self._repeated) or not rows.num_rows:
            return rows
        seqs, versions = rows["#seq"].to_numpy(), rows["#version"].to_numpy()
        repeated = self._repeated.contains(seqs, versions)
        self._backlog.add(span.code, seqs[repeated], next_turn=True)
        return rows.filter(pa.array(~repeated & ~self._skipped.contains(seqs, versions)))

    def _add(self, codes: np.ndarray, seqs: np.ndarray, later: np.ndarray) -> None:
        """Count runs where a step waits for them."""
        arrived = np.bincount(codes, minlength=len(later))
        for code in np.flatnonzero(arrived):
            if self._has_step[code]:
                here = seqs if arrived[code] == len(seqs) else seqs[codes == code]
                self._backlog.add(int(code), here, next_turn=bool(later[code]))

    def _later(self, step: Step) -> np.ndarray:
        """Tell for each status whether who comes there from ``step`` waits for the next turn."""
        later: np.ndarray = self.workflow.rank <= self.workflow.rank[step.from_code]
        return later

    def _heed(self, moment: datetime | None) -> None:
        moment = _with_slack(moment)
        if moment is not None and (self.due_at is None or moment < self.due_at):
            self.due_at = moment


def _with_slack(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment + _RETRY_SLACK
