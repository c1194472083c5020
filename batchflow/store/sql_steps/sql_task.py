"""A SQL step and its runs, as SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from batchflow.definition.step import Step
from batchflow.store.runs.claimable import claimable
from batchflow.store.schema.layout import Layout, literal

# Errors of DuckDB that aren't caused by an expression or a value.
STORAGE_ERRORS = (
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.InterruptException,
    duckdb.TransactionException,
)


@dataclass(frozen=True)
class SqlTask:
    """One SQL step for the runs from `first_seq` to `last_seq`, at one moment.

    `log_values` is true if the errors of runs may show values of their objects.
    """

    layout: Layout
    step: Step
    first_seq: int
    last_seq: int
    now: datetime
    log_values: bool = False

    @property
    def claimable(self) -> str:
        """Return the condition that a run belongs to the task; it uses `parameters`."""
        return claimable(self.layout, self.step.from_code)

    @property
    def parameters(self) -> dict[str, object]:
        """Return the values of ``$first``, ``$last`` and ``$now``."""
        return {"first": self.first_seq, "last": self.last_seq, "now": self.now}

    @property
    def status(self) -> str:
        """Return the expression of the status's name."""
        if self.step.constant_status is not None:
            return literal(self.step.constant_status.name)
        return f"CAST(({self.step.status_expression}\n) AS VARCHAR)"

    @property
    def values(self) -> dict[str, str]:
        """Return the expression of each field that is set, cast to its column's type."""
        fields = {name: self.layout.workflow.field(name) for name in self.step.set_expressions}
        return {
            name: f"CAST(({expression}\n) AS {fields[name].type.sql})"
            for name, expression in self.step.set_expressions.items()
        }

    @property
    def destinations(self) -> tuple[int, ...]:
        """Return the codes of the statuses to which the runs may move."""
        if self.step.constant_status is not None:
            return (self.layout.workflow.code_of(self.step.constant_status),)
        return self.step.to_codes

    @property
    def destination_names(self) -> list[str]:
        """Return the names of the statuses to which the runs may move."""
        return [self.layout.status_names[code] for code in self.destinations]
