"""The tables of a workflow, with or without its definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from batchflow.store.schema.layout import quote


class Tables(Protocol):
    """The tables of one workflow's runs, transitions and errors."""

    @property
    def name(self) -> str:
        """Return the workflow's name."""

    @property
    def run_id_base(self) -> int:
        """Return the UUID, as a number, to which a run's seq is added for its run id."""

    @property
    def runs(self) -> str:
        """Return the quoted table of runs."""

    @property
    def transitions(self) -> str:
        """Return the quoted view of all transitions."""

    @property
    def transitions_without_reason(self) -> str:
        """Return the quoted table of transitions without a reason."""

    @property
    def transitions_with_reason(self) -> str:
        """Return the quoted table of transitions with a reason."""

    @property
    def errors(self) -> str:
        """Return the quoted table of errors."""

    @property
    def column_names(self) -> Sequence[str]:
        """Return the names of the columns of ``runs``."""

    @property
    def column_types(self) -> Sequence[str]:
        """Return the SQL types of these columns."""


@dataclass(frozen=True)
class StoredTables:
    """The tables of a workflow as they are in a store, without its definition."""

    name: str
    run_id_base: int
    column_names: tuple[str, ...]
    column_types: tuple[str, ...]

    @property
    def runs(self) -> str:
        """Return the quoted table of runs."""
        return f"{quote(self.name)}.runs"

    @property
    def transitions(self) -> str:
        """Return the quoted view of all transitions."""
        return f"{quote(self.name)}.transitions"

    @property
    def transitions_without_reason(self) -> str:
        """Return the quoted table of transitions without a reason."""
        return f"{quote(self.name)}.transitions_without_reason"

    @property
    def transitions_with_reason(self) -> str:
        """Return the quoted table of transitions with a reason."""
        return f"{quote(self.name)}.transitions_with_reason"

    @property
    def errors(self) -> str:
        """Return the quoted table of errors."""
        return f"{quote(self.name)}.errors"
