"""The results of operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchflow.picture import html_table
from batchflow.short_form import counted


@dataclass(frozen=True)
class ControlReport:
    """How many runs an operation changed.

    Attributes:
        action: What was done to them, like ``"paused"``.
        changed: The number of runs that were changed.
        refused: The number of runs that were chosen and that don't allow it.
        refusals: These runs by why they don't, the most frequent first: their run state, like
            ``"COMPLETED"``, or another condition, like ``"being executed"``.
    """

    action: str
    changed: int
    refused: int
    refusals: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def moved(self) -> int:
        """The number of changed runs."""
        return self.changed

    def __str__(self) -> str:
        refused = f", {self.refused_in_words()}" if self.refused else ""
        return f"{counted(self.changed, 'run')} {self.action}{refused}"

    def refused_in_words(self, would_be: str = "") -> str:
        """Return how many runs were, or would be, refused, and why."""
        reasons = ", ".join(f"{runs:,} {why}" for why, runs in self.refusals.items())
        why = f" ({reasons})" if reasons else ""
        return f"{counted(self.refused, 'run')} {would_be}refused{why}"

    def _repr_html_(self) -> str:
        rows = [(self.action, f"{self.changed:,}"), ("refused", f"{self.refused:,}")]
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
