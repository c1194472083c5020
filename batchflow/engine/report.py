"""The report of a drain: its work, and the state of the runs afterwards."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from batchflow.definition import Outcome
from batchflow.errors import InvalidObject, InvalidOutcome, StepTimeout, WorkerDied
from batchflow.picture import escaped, html_table
from batchflow.short_form import counted
from batchflow.store.query.queries import counts, errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchflow.coordinator import StepTally, Tally
    from batchflow.definition import AnyWorkflow
    from batchflow.store import Store

_FAILURES_SHOWN = 10
# The headings of right-aligned columns.
_NUMBERS: Final = frozenset({"runs", "seconds", "runs/s", "failures"})

Cells: TypeAlias = tuple[str, ...]
"""A heading, or a row, of a table."""


@dataclass(frozen=True)
class StatusCount:
    """The number of runs at a status in a run state."""

    workflow: str
    status: str
    run_state: str
    runs: int


@dataclass(frozen=True)
class StepReport:
    """The work of one step.

    Attributes:
        runs: The number of times that it was executed for a run.
        outcomes: The runs by outcome (``advanced``, ``failed``, …), without outcomes of none.
        seconds: The time in the step's code, summed over the workers.
        runs_per_second: The runs divided by these seconds: the speed of one worker.
        refused: The results that were dropped because their runs were changed meanwhile.
    """

    workflow: str
    step: str
    status: str
    runs: int
    outcomes: dict[str, int]
    seconds: float
    runs_per_second: float
    refused: int


# The messages of these are batchflow's own, and show values only with log_values.
_WITHOUT_VALUES: Final = frozenset(
    {
        *(kind.__name__ for kind in (InvalidObject, InvalidOutcome, StepTimeout, WorkerDied)),
        *("ConversionException", "OutOfRangeException", "ConstraintException"),
    }
)


@dataclass(frozen=True)
class FailureReport:
    """All stored failures with one fingerprint.

    ``sample`` is the latest message. It is empty if it could show a value of an object, unless
    ``EngineConfig(log_values=True)`` is set. ``Engine.errors`` always has it.
    """

    workflow: str
    fingerprint: str
    type: str
    count: int
    sample: str


@dataclass(frozen=True)
class Report:
    """The result of ``Engine.run``.

    Attributes:
        statuses: All runs in the store, by status and run state.
        steps: The work of each step in this drain.
        failures: The most frequent failures in the store.
        seconds: The duration of the drain.
        waiting_for_retry: The number of runs that back off after a failure.
    """

    statuses: tuple[StatusCount, ...]
    steps: tuple[StepReport, ...]
    failures: tuple[FailureReport, ...]
    seconds: float
    waiting_for_retry: int

    @property
    def runs(self) -> int:
        """The number of times that a step was executed for a run."""
        return sum(step.runs for step in self.steps)

    @property
    def paused(self) -> int:
        """The number of paused runs."""
        return sum(entry.runs for entry in self.statuses if entry.run_state == "PAUSED")

    @property
    def refused(self) -> int:
        """The number of refused results."""
        return sum(step.refused for step in self.steps)

    def count(self, status: str) -> int:
        """Return the number of runs at the status with this name."""
        return sum(entry.runs for entry in self.statuses if entry.status == status)

    def outcome(self, outcome: str) -> int:
        """Return the number of times that a step had this outcome."""
        return sum(step.outcomes.get(outcome, 0) for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return asdict(self) | {"runs": self.runs, "paused": self.paused, "refused": self.refused}

    def __str__(self) -> str:
        parts = [self._headline()]
        parts += [_text_table(heading, rows) for heading, rows in self._tables()]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        tables = "".join(
            html_table(heading, rows, [at for at, name in enumerate(heading) if name in _NUMBERS])
            for heading, rows in self._tables()
        )
        return f"<div><p>{escaped(self._headline())}</p>{tables}</div>"

    def _headline(self) -> str:
        rate = self.runs / self.seconds if self.seconds else 0.0
        text = f"{counted(self.runs, 'step')} in {self.seconds:.1f} s ({rate:,.0f} a second)"
        if self.waiting_for_retry:
            waiting = counted(self.waiting_for_retry, "run")
            text += f"; {waiting} {'waits' if self.waiting_for_retry == 1 else 'wait'} for a retry"
        if self.paused:
            verb = "is" if self.paused == 1 else "are"
            text += f"; {counted(self.paused, 'run')} {verb} paused"
        return text

    def _tables(self) -> list[tuple[Cells, list[Cells]]]:
        tables: list[tuple[Cells, list[Cells]]] = [
            (
                ("status", "run state", "runs"),
                [(_name(e, e.status), e.run_state, f"{e.runs:,}") for e in self.statuses],
            ),
            (
                ("step", "from", "runs", "seconds", "runs/s", "outcomes"),
                [_step_row(step) for step in self.steps if step.runs],
            ),
            (
                ("failures", "error", "sample"),
                [(f"{f.count:,}", f.type, f.sample[:80]) for f in self.failures],
            ),
        ]
        return [(heading, rows) for heading, rows in tables if rows]


def reported(
    store: Store,
    workflows: Sequence[AnyWorkflow],
    tally: Tally,
    seconds: float,
    log_values: bool = False,
) -> Report:
    """Return the report of a drain from its counts and the store."""
    return Report(
        statuses=tuple(entry for flow in workflows for entry in _statuses(store, flow)),
        steps=tuple(_step_report(entry) for entry in tally.steps.values()),
        failures=tuple(entry for flow in workflows for entry in _failures(store, flow, log_values)),
        seconds=seconds,
        waiting_for_retry=sum(store.waiting_for_retry(flow) for flow in workflows),
    )


def _statuses(store: Store, workflow: AnyWorkflow) -> list[StatusCount]:
    rows = counts(store.source, store.tables(workflow)).fetchall()
    return [StatusCount(workflow.name, *row) for row in rows]


def _failures(store: Store, workflow: AnyWorkflow, log_values: bool) -> list[FailureReport]:
    columns = "fingerprint, type, count, message"
    rows = (
        errors(store.source, store.tables(workflow))
        .select(columns)
        .limit(_FAILURES_SHOWN)
        .fetchall()
    )
    failures = [FailureReport(workflow.name, *row) for row in rows]
    return [
        each if log_values or each.type in _WITHOUT_VALUES else replace(each, sample="")
        for each in failures
    ]


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


def _name(entry: StatusCount, name: str) -> str:
    return f"{entry.workflow}.{name}"


def _step_row(step: StepReport) -> Cells:
    outcomes = ", ".join(f"{runs:,} {outcome}" for outcome, runs in step.outcomes.items())
    if step.refused:
        outcomes += f", {step.refused:,} refused"
    return (
        f"{step.workflow}.{step.step}",
        step.status,
        f"{step.runs:,}",
        f"{step.seconds:.2f}",
        f"{step.runs_per_second:,.0f}",
        outcomes,
    )


def _text_table(heading: Cells, rows: list[Cells]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(heading, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [heading, *rows]
    )
