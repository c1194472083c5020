"""The outcome of a rehearsal, and storing exactly that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from batchflow.operation.options import reason_text
from batchflow.picture import html_table
from batchflow.short_form import counted, short_seconds

if TYPE_CHECKING:
    from types import TracebackType

    from batchflow.operation import ControlReport

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class RehearsedMove:
    """How many runs went from one status and state to another.

    A state is a run state in lower case, or ``failing`` for a run that waits for a retry.
    """

    from_status: str
    from_state: str
    to_status: str
    to_state: str
    runs: int


@dataclass(frozen=True)
class RehearsedField:
    """A field whose values differ from those that are stored.

    Attributes:
        field: The column.
        runs: How many runs have another value.
        samples: Of some of them, the foreign id and both values as text: before and after.
    """

    field: str
    runs: int
    samples: tuple[tuple[str, str | None, str | None], ...]


@dataclass(frozen=True)
class RehearsedFailure:
    """A cause of failures.

    Attributes:
        description: The cause in a line.
        runs: How many runs failed so.
        message: The latest message.
    """

    description: str
    runs: int
    message: str


class Copies:
    """The copies of the runs of a rehearsal, until they are removed.

    Args:
        remove: Removes them; a second call does nothing.
        promote: Stores their outcome for a reason. It raises an error that says why this one can't
            be stored, if so.
    """

    def __init__(
        self, remove: Callable[[], object], promote: Callable[[str], ControlReport]
    ) -> None:
        self.remove = remove
        self.promote = promote


@dataclass(frozen=True)
class Rehearsal:
    """The effect of steps on copies of runs; nothing of it is stored.

    The copies are kept until `promote` or `close`, or until nothing refers to this any more.

    Attributes:
        workflow: The name of the workflow.
        runs: How many runs were chosen.
        executed: How often a step was executed for one of them.
        same: How many runs have the status, the run state and the fields that they had before.
        refused: How many runs couldn't be put back, by why.
        matrix: Where the runs were, and where they are now.
        fields: The fields whose values differ, those of the most runs first.
        failures: The causes of failures in the rehearsal, the most frequent first.
        broken: How many runs break an invariant that the store's workflow has and the rehearsed one
            lacks, by the invariant; `promote` refuses them.
        seconds: How long the steps took, and what it takes to store their results.
    """

    workflow: str
    runs: int
    executed: int
    same: int
    refused: dict[str, int]
    matrix: tuple[RehearsedMove, ...]
    fields: tuple[RehearsedField, ...]
    failures: tuple[RehearsedFailure, ...]
    broken: dict[str, int]
    seconds: float
    copies: Copies = field(repr=False, compare=False)

    def promote(self, reason: str = "rehearsed") -> ControlReport:
        """Store exactly what was shown, for exactly these runs, in one transaction.

        No step is executed again. The log has the transitions of the rehearsal, at the time of this
        call. Runs that changed since the rehearsal are refused and counted, as are those that a
        step is executing, finished ones that would be unfinished next to another run of their
        foreign id, and runs that would break an invariant of the store's workflow. The copies are
        then removed.

        Args:
            reason: Why, for the log of operations.

        Raises:
            EngineStateError: The rehearsal had stand-ins or a changed workflow that the store
                doesn't have yet, a drain is running, or the rehearsal was promoted or closed.
        """
        report = self.copies.promote(reason_text(reason))
        self.close()
        return report

    def close(self) -> None:
        """Remove the copies; a second call does nothing."""
        self.copies.remove()

    def __enter__(self) -> Rehearsal:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {
            "workflow": self.workflow,
            "runs": self.runs,
            "executed": self.executed,
            "same": self.same,
            "refused": self.refused,
            "matrix": [asdict(each) for each in self.matrix],
            "fields": [asdict(each) for each in self.fields],
            "failures": [asdict(each) for each in self.failures],
            "broken": self.broken,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        lines = [f"{self._summary}."]
        lines += [
            f"  {each.from_status} ({each.from_state}) -> {each.to_status} ({each.to_state}): "
            f"{counted(each.runs, 'run')}"
            for each in self.matrix
        ]
        for changed in self.fields:
            lines.append(f"  {changed.field} changes in {counted(changed.runs, 'run')}")
            lines += [f"    {key}: {_pair(*values)}" for key, *values in changed.samples]
        lines += [
            f"  {counted(each.runs, 'run')} failed: {each.description}" for each in self.failures
        ]
        return "\n".join([*lines, *(f"  {line}" for line in self._warnings)])

    @property
    def _warnings(self) -> list[str]:
        return [
            f"{counted(runs, 'run')} can't be promoted: they would break the invariant {name!r}, "
            "which the rehearsed workflow lacks"
            for name, runs in self.broken.items()
        ]

    @property
    def _summary(self) -> str:
        refused = "".join(f", {runs:,} not put back ({why})" for why, runs in self.refused.items())
        return (
            f"{counted(self.runs, 'run')} of {self.workflow} rehearsed in "
            f"{short_seconds(self.seconds)}, {self.same:,} as before{refused}"
        )

    def _repr_html_(self) -> str:
        moves = [
            (
                f"{each.from_status} ({each.from_state})",
                f"{each.to_status} ({each.to_state})",
                f"{each.runs:,}",
            )
            for each in self.matrix
        ]
        changes = [
            (
                each.field,
                f"{each.runs:,}",
                "; ".join(f"{key}: {_pair(*values)}" for key, *values in each.samples),
            )
            for each in self.fields
        ]
        failures = [(each.description, f"{each.runs:,}", each.message) for each in self.failures]
        parts = [html_table(("stored", "rehearsed", "runs"), moves, numbers={2})]
        if changes:
            parts.append(html_table(("field", "runs", "before → after"), changes, numbers={1}))
        if failures:
            parts.append(html_table(("failure", "runs", "message"), failures, numbers={1}))
        warnings = "".join(f"<p>{escape(line)}.</p>" for line in self._warnings)
        return f"<div><p>{self._summary}.</p>{''.join(parts)}{warnings}</div>"


def _pair(before: str | None, after: str | None) -> str:
    return f"{_short(before)} -> {_short(after)}"


def _short(text: str | None) -> str:
    if text is None:
        return "NULL"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
