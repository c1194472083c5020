"""The results of operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchflow.picture import html_table
from batchflow.short_form import counted


@dataclass(frozen=True)
class ControlReport:
    """How many runs an operation changed, or would change in a dry run.

    Attributes:
        action: What was done to them, like ``"paused"``.
        changed: The number of runs that were changed.
        refused: The number of runs that were chosen and that don't allow it.
        refusals: These runs by why they don't, the most frequent first: their run state, like
            ``"COMPLETED"``, or another condition, like ``"being executed"``.
        dry_run: Whether it only counted the runs.
    """

    action: str
    changed: int
    refused: int
    refusals: Mapping[str, int] = field(default_factory=dict, compare=False)
    dry_run: bool = field(default=False, compare=False)

    @property
    def moved(self) -> int:
        """The number of changed runs."""
        return self.changed

    def __str__(self) -> str:
        changed = f"{counted(self.changed, 'run')} {self._done(self.action)}"
        if not self.refused:
            return changed
        reasons = ", ".join(f"{runs:,} {why}" for why, runs in self.refusals.items())
        why = f" ({reasons})" if reasons else ""
        return f"{changed}, {counted(self.refused, 'run')} {self._done('refused')}{why}"

    def _done(self, action: str) -> str:
        return f"would be {action}" if self.dry_run else action

    def _repr_html_(self) -> str:
        rows = [
            (self._done(self.action), f"{self.changed:,}"),
            (self._done("refused"), f"{self.refused:,}"),
        ]
        rows += [(f"… {why}", f"{runs:,}") for why, runs in self.refusals.items()]
        return html_table(("", "runs"), rows, numbers={1})


@dataclass(frozen=True)
class PruneReport:
    """The rows that a prune removed, or would remove in a dry run.

    Attributes:
        runs: The number of runs.
        transitions: The number of their transitions.
        errors: The number of their errors.
        bytes_before: The size of the store's file and its log before; 0 in memory.
        bytes_after: Their size afterwards.
        rejected: The number of rejected rows of loads.
    """

    runs: int
    transitions: int
    errors: int
    bytes_before: int
    bytes_after: int
    rejected: int = 0

    def __str__(self) -> str:
        rejected = f", and {counted(self.rejected, 'rejected row')}" if self.rejected else ""
        return (
            f"{counted(self.runs, 'run')}, {counted(self.transitions, 'transition')} and "
            f"{counted(self.errors, 'error')}{rejected}"
        )

    def _repr_html_(self) -> str:
        rows = [
            (name.replace("_", " "), f"{getattr(self, name):,}")
            for name in ("runs", "transitions", "errors", "rejected", "bytes_before", "bytes_after")
        ]
        return html_table(("removed", "number"), rows, numbers={1})


@dataclass(frozen=True)
class ExportPart:
    """The finished runs that a hand-over has to write next.

    Attributes:
        workflow: The workflow.
        number: The part's number; None if no run has finished since the last part.
        first: How many runs the parts before it have.
        last: The same, with its own.
        query: The query for its runs.
    """

    workflow: str
    number: int | None = None
    first: int = 0
    last: int = 0
    query: str = ""


@dataclass(frozen=True)
class ExportReport:
    """The result of an export.

    Attributes:
        table: What was exported.
        rows: The number of rows that were written.
        to: Where they are, without the passwords of a URL.
        files: With ``since``: the files that were written, within ``to``.
        first: With ``since``: how many runs were handed over before; None without.
        last: With ``since``: the same, with these; None without.
    """

    table: str
    rows: int
    to: str
    files: tuple[str, ...] = ()
    first: int | None = None
    last: int | None = None

    def __str__(self) -> str:
        # "runs", "transitions" and "errors" are plurals.
        return f"{counted(self.rows, self.table.removesuffix('s'))} written to {self.to}."
