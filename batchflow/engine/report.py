"""What a drain did and how it left the runs, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from batchflow.definition import Outcome
from batchflow.errors import InvalidObject, InvalidOutcome, StepTimeout, WorkerDied
from batchflow.picture import escaped, html_table
from batchflow.store.query.queries import counts, errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchflow.coordinator import StepTally, Tally
    from batchflow.definition import AnyWorkflow
    from batchflow.store import Store

_FAILURES_SHOWN = 10
# The headings of the columns that are set to the right.
_NUMBERS: Final = frozenset({"runs", "seconds", "runs/s", "failures"})

Cells: TypeAlias = tuple[str, ...]
"""A heading, or a row, of a table."""


@dataclass(frozen=True)
class StatusCount:
    """How many runs stand at a status in a run state."""

    workflow: str
    status: str
    run_state: str
    runs: int


@dataclass(frozen=True)
class StepReport:
    """What one step did.

    Attributes:
        runs: how many times it was executed for a run.
        outcomes: runs by outcome (``advanced``, ``failed``, …), those that occurred.
        seconds: time in the step's code, summed over the workers.
        runs_per_second: runs by those seconds: the speed of one worker.
        refused: results dropped because somebody changed their runs meanwhile.
    """

    workflow: str
    step: str
    status: str
    runs: int
    outcomes: dict[str, int]
    seconds: float
    runs_per_second: float
    refused: int


# What these say is our own, and shows no values unless that was asked for.
_WITHOUT_VALUES: Final = frozenset(
    {
        *(kind.__name__ for kind in (InvalidObject, InvalidOutcome, StepTimeout, WorkerDied)),
        *("ConversionException", "OutOfRangeException", "ConstraintException"),
    }
)


@dataclass(frozen=True)
class FailureReport:
    """Failures with the same fingerprint, as stored since the beginning.

    ``sample`` is the latest message; empty where it may show a value of an object, which a report
    does only with ``EngineConfig(log_values=True)``. ``Engine.errors`` has it in any case.
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
        statuses: all runs in the store by status and run state.
        steps: what each step did in this drain.
        failures: the most frequent errors of those runs that haven't finished.
        seconds: how long the drain took.
        waiting_for_retry: runs that back off after a failure.
    """

    statuses: tuple[StatusCount, ...]
    steps: tuple[StepReport, ...]
    failures: tuple[FailureReport, ...]
    seconds: float
    waiting_for_retry: int

    @property
    def runs(self) -> int:
        """How many times a step was executed for a run."""
        return sum(step.runs for step in self.steps)

    @property
    def paused(self) -> int:
        """How many runs are paused."""
        return sum(entry.runs for entry in self.statuses if entry.run_state == "PAUSED")

    @property
    def refused(self) -> int:
        """How many results were refused."""
        return sum(step.refused for step in self.steps)

    def count(self, status: str) -> int:
        """Answer how many runs stand at the status of this name."""
        return sum(entry.runs for entry in self.statuses if entry.status == status)

    def outcome(self, outcome: str) -> int:
        """Answer how many times a step had this outcome."""
        return sum(step.outcomes.get(outcome, 0) for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """Answer all of it as plain values, for JSON."""
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
        text = f"{self.runs:,} steps in {self.seconds:.1f} s ({rate:,.0f} a second)"
        if self.waiting_for_retry:
            text += f"; {self.waiting_for_retry:,} runs wait for a retry"
        if self.paused:
            text += f"; {self.paused:,} runs are paused"
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
    """Put a report together from what was counted and what is stored."""
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
