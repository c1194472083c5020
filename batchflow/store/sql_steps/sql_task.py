"""A SQL step and its runs, as SQL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from batchflow.definition.field_type import FieldType
from batchflow.definition.step import Step
from batchflow.store.database.instance import Cursor
from batchflow.store.runs.claimable import claimable
from batchflow.store.runs.exact_values import ExactValue, exact_values
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

    def for_step(self, step: Step) -> SqlTask:
        """Return another step for the same runs."""
        return replace(self, step=step)

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
    def expressions(self) -> dict[str, tuple[str, FieldType]]:
        """Return the expression of each field that is set, and the field's type."""
        field = self.layout.workflow.field
        return {name: (sql, field(name).type) for name, sql in self.step.set_expressions.items()}

    def values(self, cursor: Cursor) -> dict[str, ExactValue]:
        """Return the value of each field that is set, with its type in DuckDB."""
        return exact_values(cursor, self.rows, self.expressions, self.parameters)

    @property
    def rows(self) -> str:
        """Return the runs of the task, as they stand behind FROM; it uses `parameters`."""
        return f"{self.layout.runs} WHERE {self.claimable}"

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
