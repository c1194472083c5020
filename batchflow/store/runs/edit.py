"""Setting fields of the runs that a predicate or a list of run ids chooses."""

from __future__ import annotations

from datetime import datetime

import duckdb

from batchflow.definition.run_state import RunState
from batchflow.errors import InvalidOptionError, QueryError
from batchflow.operation import ControlReport
from batchflow.operation.requests import Edit
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.store_error import store_error_of
from batchflow.store.query.permission import is_one_expression, require_reading
from batchflow.store.runs.control import RunChange, change_runs
from batchflow.store.schema.layout import EDITED, Layout, quote

# An erased object stays erased.
_ERASED = (RunState.REQUESTED_DATA_DELETED, RunState.DATA_DELETED)


def edit_runs(
    connection: Connection, layout: Layout, request: Edit, now: datetime
) -> ControlReport:
    """Set fields of the chosen runs, in one transaction; see `Operations.edit`.

    Raises:
        InvalidOptionError: The workflow has no such field.
        QueryError: The predicate or an expression can't be executed, or a value doesn't fit.
        RunNotFoundError: There are no runs with some of the run ids; nothing is changed.
    """
    change = RunChange(
        outcome=EDITED,
        reason=request.reason,
        sources=tuple(state for state in RunState if state not in _ERASED),
        run_state=None,
        assignments=tuple(_assignment(layout, *assigned) for assigned in request.set.items()),
    )
    try:
        return change_runs(connection, layout, request, change, now)
    except duckdb.Error as error:
        if store_error_of(error) is not None:
            raise
        found = message_of(error)
        raise QueryError(
            f"The runs of {layout.name!r} can't be edited, and nothing was changed: {found}. The "
            f"expressions are over the columns {', '.join(layout.column_names)}.",
            found=found,
        ) from cause(error)


def _assignment(layout: Layout, name: str, expression: str) -> str:
    fields = {field.name: field for field in layout.fields}
    if name not in fields:
        raise InvalidOptionError(
            f"set names {name!r}, which is no field of workflow {layout.name!r}; its fields are: "
            f"{', '.join(fields)}.",
            option="set",
        )
    _checked(name, expression, layout)
    field = fields[name]
    return f"{quote(field.column)} = CAST((\n{expression}\n) AS {field.type.sql})"


def _checked(name: str, expression: str, layout: Layout) -> None:
    """Raise QueryError unless a text is one expression that a query may have, without a comma."""
    try:
        if is_one_expression(expression):
            require_reading(f"SELECT (\n{expression}\n)")
            return
        found = "it is not one SQL expression"
    except QueryError as error:
        found = error.found
    raise QueryError(
        f"The value of {name!r} is {expression!r}, which can't be executed: {found}. Give one SQL "
        f"expression over the columns {', '.join(layout.column_names)}.",
        found=found,
    )
