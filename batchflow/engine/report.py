"""The report of a drain: its work, and the state of the runs afterwards."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from batchflow.picture import escaped, html_table
from batchflow.short_form import counted

if TYPE_CHECKING:
    from batchflow.coordinator import UnfinishedCall

# The headings of right-aligned columns.
_NUMBERS: Final = frozenset({"runs", "seconds", "runs/s", "failures"})
# Of a failure's message, where a line of a terminal or a notebook shows it.
_SAMPLE_CHARACTERS: Final = 80

Cells: TypeAlias = tuple[str, ...]
"""A heading, or a row, of a table."""

EndedBy: TypeAlias = Literal["idle", "limit", "until", "stopped", "canary", "breaker"]
"""Why a drain ended."""

_ENDED_BY_IN_WORDS: Final[dict[EndedBy, str]] = {
    "limit": "the limit was reached",
    "until": "the time to stop was reached",
    "stopped": "a stop was requested",
    "canary": "too many runs of the canary failed",
    "breaker": "their step's breaker is open",
}


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


@dataclass(frozen=True)
class FailureReport:
    """The failures of a drain that have the same cause.

    ``place`` is the innermost line of your code; empty if there is none.
    ``sample`` is the latest message. It is empty if it could show a value of an object, unless
    ``EngineConfig(log_values=True)`` is set. ``Engine.errors`` always has it.
    """

    workflow: str
    cause: str
    type: str
    place: str
    count: int
    sample: str


@dataclass(frozen=True)
class BreakerReport:
    """A step whose breaker opened, because too many of its recent runs failed.

    Attributes:
        failed_share: The share of the recent runs that had failed when it opened last.
        openings: How often it opened; a probe that fails doesn't count.
        open: Whether it was still open when the drain ended.
        left: The number of runs that waited for the step then.
    """

    workflow: str
    step: str
    status: str
    failed_share: float
    openings: int
    open: bool
    left: int


@dataclass(frozen=True)
class Report:
    """The result of ``Engine.run``.

    Attributes:
        statuses: All runs in the store, by status and run state.
        steps: The work of each step in this drain.
        failures: The most frequent failures of this drain.
        seconds: The duration of the drain.
        waiting_for_retry: The number of runs that back off after a failure.
        ended_by: Why the drain ended: ``"idle"`` if nothing was left to execute, ``"limit"``,
            ``"until"``, ``"stopped"`` by a request or a signal, ``"canary"`` if too many runs of
            the sample failed that went first, or ``"breaker"`` if the runs that were left wait for
            steps whose breakers are open.
        left: The number of runs that a step could be executed for now. It is above 0 only if the
            drain was cut short.
        newly_paused: The number of runs that this drain paused after failures or answers of steps;
            those that `pause` paused meanwhile are in `paused_before`.
        unfinished_calls: The calls of steps that didn't return before the drain ended.
        older_failures: The number of failures before this drain, of runs that haven't finished.
        breakers: The steps whose breaker opened in this drain.
    """

    statuses: tuple[StatusCount, ...]
    steps: tuple[StepReport, ...]
    failures: tuple[FailureReport, ...]
    seconds: float
    waiting_for_retry: int
    ended_by: EndedBy
    left: int
    newly_paused: int
    older_failures: int
    unfinished_calls: tuple[UnfinishedCall, ...] = ()
    breakers: tuple[BreakerReport, ...] = ()

    @property
    def runs(self) -> int:
        """The number of times that a step was executed for a run."""
        return sum(step.runs for step in self.steps)

    @property
    def paused(self) -> int:
        """The number of paused runs, whenever they were paused."""
        return sum(entry.runs for entry in self.statuses if entry.run_state == "PAUSED")

    @property
    def paused_before(self) -> int:
        """The number of paused runs that weren't paused in this drain."""
        return self.paused - self.newly_paused

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
        names = ("runs", "paused", "paused_before", "refused")
        return asdict(self) | {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        return self.text(_SAMPLE_CHARACTERS)

    def text(self, sample_characters: int | None = None) -> str:
        """Return the report as text, with at most so many characters of each failure's message."""
        parts = [self.headline]
        parts += [_text_table(heading, rows) for heading, rows in self._tables(sample_characters)]
        parts.append(self._before_in_words())
        return "\n\n".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        tables = "".join(
            html_table(heading, rows, [at for at, name in enumerate(heading) if name in _NUMBERS])
            for heading, rows in self._tables(_SAMPLE_CHARACTERS)
        )
        before = self._before_in_words()
        after = f"<p>{escaped(before)}</p>" if before else ""
        return f"<div><p>{escaped(self.headline)}</p>{tables}{after}</div>"

    @property
    def headline(self) -> str:
        """One line about the drain: its work, and what it left."""
        rate = self.runs / self.seconds if self.seconds else 0.0
        done = f"{counted(self.runs, 'step')} in {self.seconds:.1f} s ({rate:,.0f} a second)"
        parts = [
            done,
            self._left_in_words(),
            _runs_in_words(self.waiting_for_retry, "waits for a retry", "wait for a retry"),
            _runs_in_words(self.newly_paused, "was paused", "were paused"),
            f"{counted(len(self.unfinished_calls), 'call')} didn't return"
            if self.unfinished_calls
            else "",
        ]
        return "; ".join(part for part in parts if part)

    def _left_in_words(self) -> str:
        left = _runs_in_words(self.left, "is left to execute", "are left to execute")
        return f"{left} ({_ENDED_BY_IN_WORDS[self.ended_by]})" if left else ""

    def _before_in_words(self) -> str:
        """Return a line on what earlier drains left behind; nothing without it."""
        paused = _runs_in_words(self.paused_before, "is paused", "are paused")
        failures = counted(self.older_failures, "failure") if self.older_failures else ""
        parts = [paused, f"{failures} of unfinished runs" if failures else ""]
        text = "; ".join(part for part in parts if part)
        return f"From before this drain: {text}." if text else ""

    def _tables(self, sample_characters: int | None) -> list[tuple[Cells, list[Cells]]]:
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
                ("unfinished call", "from", "run", "runs", "since", "process"),
                [_call_row(call) for call in self.unfinished_calls],
            ),
            (
                ("breaker", "from", "failed", "opened", "at the end", "waiting"),
                [_breaker_row(breaker) for breaker in self.breakers],
            ),
            (
                ("failures", "error", "in", "sample"),
                [
                    (f"{f.count:,}", f.type, f.place, _cut(f.sample, sample_characters))
                    for f in self.failures
                ],
            ),
        ]
        return [_without_empty_columns(heading, rows) for heading, rows in tables if rows]


def _cut(text: str, most: int | None) -> str:
    """Return a text on one line, with a mark where it is cut."""
    line = " ".join(text.split())
    return line if most is None or len(line) <= most else f"{line[: most - 1]}…"


def _runs_in_words(runs: int, one: str, several: str) -> str:
    """Return how many runs something is true of, as a clause; nothing for none."""
    return f"{counted(runs, 'run')} {one if runs == 1 else several}" if runs else ""


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


def _breaker_row(breaker: BreakerReport) -> Cells:
    return (
        f"{breaker.workflow}.{breaker.step}",
        breaker.status,
        f"{breaker.failed_share:.0%}",
        "once" if breaker.openings == 1 else f"{breaker.openings:,} times",
        "open" if breaker.open else "closed",
        f"{breaker.left:,}" if breaker.open else "",
    )


def _call_row(call: UnfinishedCall) -> Cells:
    return (
        f"{call.workflow}.{call.step}",
        call.status,
        "" if call.run_id is None else str(call.run_id),
        f"{call.runs:,}",
        f"{call.since:%Y-%m-%d %H:%M:%S %Z}",
        "" if call.worker is None else str(call.worker),
    )


def _without_empty_columns(heading: Cells, rows: list[Cells]) -> tuple[Cells, list[Cells]]:
    shown = [at for at in range(len(heading)) if any(row[at] for row in rows)]
    return tuple(heading[at] for at in shown), [tuple(row[at] for at in shown) for row in rows]


def _text_table(heading: Cells, rows: list[Cells]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(heading, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [heading, *rows]
    )
