"""Makes the report of a drain, from its counts and the store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, assert_never

from batchflow.coordinator import Ending
from batchflow.definition import Outcome
from batchflow.engine.report import (
    BreakerReport,
    EndedBy,
    FailureReport,
    Report,
    StatusCount,
    StepReport,
)
from batchflow.errors import (
    InvalidObject,
    InvalidOutcome,
    InvariantBroken,
    StepAbandoned,
    StepTimeout,
    WorkerDied,
)
from batchflow.store.query.causes import FailuresWanted, errors
from batchflow.store.query.moments import Period
from batchflow.store.query.queries import count_errors_before, counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from batchflow.clock import Clock
    from batchflow.coordinator import StepTally, Tally
    from batchflow.definition import AnyWorkflow
    from batchflow.store import Store, WorkLeft

_FAILURES_SHOWN: Final = 10
# The messages of these are batchflow's own, and show values only with log_values.
_WITHOUT_VALUES: Final = frozenset(
    {
        *(
            kind.__name__
            for kind in (
                InvalidObject,
                InvalidOutcome,
                InvariantBroken,
                StepAbandoned,
                StepTimeout,
                WorkerDied,
            )
        ),
        *("ConversionException", "OutOfRangeException", "ConstraintException"),
    }
)


@dataclass(frozen=True)
class Reporting:
    """Makes the reports of drains, from their counts and the store.

    Attributes:
        store: The store, after the drain.
        workflows: The workflows whose runs were moved.
        clock: Returns the present time.
        log_values: Whether the report may show values of objects.
    """

    store: Store
    workflows: Sequence[AnyWorkflow]
    clock: Clock
    log_values: bool

    def report(self, tally: Tally, seconds: float) -> Report:
        """Return the report of a drain that took so long."""
        statuses = tuple(entry for flow in self.workflows for entry in self._statuses(flow))
        paused = sum(entry.runs for entry in statuses if entry.run_state == "PAUSED")
        now, since = self.clock.now(), tally.failures_since
        work = [self.store.work_left(flow, now) for flow in self.workflows]
        return Report(
            statuses=statuses,
            steps=tuple(_step_report(entry) for entry in tally.steps.values()),
            failures=() if since is None else self._failures(since),
            seconds=seconds,
            waiting_for_retry=sum(_waiting(each, tally.ending) for each in work),
            ended_by=_ended_by(tally.ending),
            left=0 if tally.ending is Ending.IDLE else sum(each.due for each in work),
            unfinished_calls=tuple(tally.unfinished_calls),
            # Some may have been resumed since.
            newly_paused=min(tally.paused, paused),
            older_failures=sum(self._failures_before(flow, since) for flow in self.workflows),
            breakers=tuple(_breaker_reports(tally)),
        )

    def _statuses(self, workflow: AnyWorkflow) -> list[StatusCount]:
        rows = counts(self.store.source, self.store.tables(workflow)).fetchall()
        return [StatusCount(workflow.name, *row) for row in rows]

    def _failures(self, since: datetime) -> tuple[FailureReport, ...]:
        return tuple(each for flow in self.workflows for each in self._failures_of(flow, since))

    def _failures_of(self, workflow: AnyWorkflow, since: datetime) -> list[FailureReport]:
        found = errors(
            self.store.source, self.store.tables(workflow), FailuresWanted(period=Period(since))
        )
        columns = "cause, type, coalesce(place, ''), count, message"
        rows = found.limit(_FAILURES_SHOWN).select(columns).fetchall()
        failures = [FailureReport(workflow.name, *row) for row in rows]
        return [
            each if self.log_values or each.type in _WITHOUT_VALUES else replace(each, sample="")
            for each in failures
        ]

    def _failures_before(self, workflow: AnyWorkflow, since: datetime | None) -> int:
        return count_errors_before(self.store.source, self.store.tables(workflow), since)


def _waiting(work: WorkLeft, ending: Ending) -> int:
    # A retry that became due while the drain ended still waits, as nothing cut the drain short.
    return work.retried if ending is Ending.IDLE else work.waiting


def _ended_by(ending: Ending) -> EndedBy:
    match ending:
        case Ending.IDLE:
            return "idle"
        case Ending.LIMIT:
            return "limit"
        case Ending.UNTIL:
            return "until"
        case Ending.STOPPED:
            return "stopped"
        case Ending.BREAKER:
            return "breaker"
        case _:
            assert_never(ending)


def _step_report(entry: StepTally) -> StepReport:
    outcomes = {
        outcome.name.lower(): int(entry.counts[outcome])
        for outcome in Outcome
        if entry.counts[outcome] and outcome is not Outcome.RETURNED
    }
    return StepReport(
        workflow=entry.workflow,
        step=entry.step,
        status=entry.from_status,
        runs=entry.runs,
        outcomes=outcomes,
        seconds=entry.seconds,
        runs_per_second=entry.runs / entry.seconds if entry.seconds else 0.0,
        refused=entry.refused,
    )


def _breaker_reports(tally: Tally) -> Iterator[BreakerReport]:
    for key, breaker in tally.breakers.items():
        if breaker.openings:
            entry = tally.steps[key]
            yield BreakerReport(
                workflow=entry.workflow,
                step=entry.step,
                status=entry.from_status,
                failed_share=breaker.failed_share,
                openings=breaker.openings,
                open=not breaker.is_closed,
                left=tally.left_by_breakers.get(key, 0),
            )
