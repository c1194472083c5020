"""Setting fields of the runs that a predicate or a list of run ids chooses."""

from __future__ import annotations

import json
from datetime import datetime

import duckdb

from batchflow.definition.run_state import RunState
from batchflow.errors import InvalidOptionError, QueryError
from batchflow.operation import ControlReport
from batchflow.operation.requests import Edit
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.database.store_error import store_error_of
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
        sources=tuple(state for state in RunState if state not in _ERASED),
        run_state=None,
        assignments=tuple(
            _assignment(connection.cursor(), layout, *assigned) for assigned in request.set.items()
        ),
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


def _assignment(cursor: Cursor, layout: Layout, name: str, expression: str) -> str:
    fields = {field.name: field for field in layout.fields}
    if name not in fields:
        raise InvalidOptionError(
            f"set names {name!r}, which is no field of workflow {layout.name!r}; its fields are: "
            f"{', '.join(fields)}.",
            option="set",
        )
    if not _is_one_expression(cursor, expression):
        raise QueryError(
            f"The value of {name!r} is {expression!r}, and not one SQL expression; give one over "
            f"the columns {', '.join(layout.column_names)}."
        )
    field = fields[name]
    return f"{quote(field.column)} = CAST((\n{expression}\n) AS {field.type.sql})"


def _is_one_expression(cursor: Cursor, expression: str) -> bool:
    """Return whether a text is one expression, without a comma or keyword that makes it more."""
    query = f"SELECT\n{expression}\n"
    [(text,)] = cursor.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
    parsed = json.loads(text)
    if parsed["error"] or len(parsed["statements"]) != 1:
        return False
    node = parsed["statements"][0]["node"]
    return (
        node["type"] == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and node["from_table"]["type"] == "EMPTY"
        and node["where_clause"] is None
    )
