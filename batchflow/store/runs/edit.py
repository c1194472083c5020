"""Setting fields of the runs that a predicate or a list of run ids chooses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

import duckdb
import pyarrow as pa

from batchflow.closest_name import did_you_mean
from batchflow.columns.arrays import one_array
from batchflow.columns.misfit import phrase_of
from batchflow.columns.value_writing import WrittenColumn
from batchflow.definition.field_type import Kind
from batchflow.definition.fields import Field
from batchflow.definition.run_state import RunState
from batchflow.errors import InvalidOptionError, QueryError
from batchflow.operation import ControlReport
from batchflow.operation.requests import Edit
from batchflow.short_form import counted
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.fetching import fetch
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, seq_range, staged
from batchflow.store.database.store_error import store_error_of
from batchflow.store.query.keyword_names import quoting_hint
from batchflow.store.query.known_names import require_known_names
from batchflow.store.query.permission import is_one_expression, require_reading, returns_rows
from batchflow.store.runs.control import RunChange, change_runs, unless_run_state_is
from batchflow.store.runs.exact_values import exact_values
from batchflow.store.runs.invariants import broken_among
from batchflow.store.schema.layout import EDITED, Layout, quote

_TEXT: Final = re.compile(r"'([^']*)'")
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
    fields = {name: _field(layout, name, sql) for name, sql in request.set.items()}
    change = RunChange(
        outcome=EDITED,
        reason=request.reason,
        refusal=unless_run_state_is(state for state in RunState if state not in _ERASED),
        run_state=None,
        assignments=tuple(
            f"{quote(field.column)} = CAST(s.{quote(name)} AS {field.type.sql})"
            for name, field in fields.items()
        ),
        evaluate=partial(_evaluated, layout, request.set, log_values=connection.log_values),
        require_sound=partial(_require_sound, layout) if layout.workflow.invariants else None,
    )
    try:
        return change_runs(connection, layout, request, change, now)
    except duckdb.Error as error:
        if store_error_of(error) is not None:
            raise
        found = message_of(error)
        raise QueryError(
            f"The runs of {layout.name!r} can't be edited, and nothing was changed: {found}. "
            f"{'; '.join(map(_expected, fields.values()))}.{_meant(fields, request.set)} The "
            f"expressions are over the columns {', '.join(layout.column_names)}.",
            found=found,
        ) from cause(error)


def _expected(field: Field) -> str:
    names = ""
    if field.type.kind is Kind.ENUM:
        names = f" ({', '.join(member.name for member in field.type.python)})"
    return f"{field.name!r} takes {field.type}{names}"


def _meant(fields: Mapping[str, Field], expressions: Mapping[str, str]) -> str:
    """Return a question with the closest member to a text that an expression has, if one is."""
    for name, field in fields.items():
        if field.type.kind is Kind.ENUM:
            members = list(field.type.python.__members__)
            texts = _TEXT.findall(expressions[name])
            close = (did_you_mean(text, members) for text in texts if text not in members)
            if found := next(filter(None, close), ""):
                return found
    return ""


def _require_sound(layout: Layout, cursor: Cursor, runs: pa.Table) -> None:
    """Raise QueryError if edited runs break an invariant."""
    first, last = seq_range(runs)
    chosen = f'r.seq BETWEEN {first} AND {last} AND r.seq IN (SELECT "#seq" FROM {STAGED})'
    with staged(cursor, runs):
        broken = dict(cursor.execute(broken_among(layout, chosen)).fetchall())
    if broken:
        seq, name = min(broken.items())
        found = (
            f"it would break the invariant {name!r} for "
            f"{counted(sum(each == name for each in broken.values()), 'run')}, such as "
            f"{UUID(int=layout.run_id_base + seq)}"
        )
        raise QueryError(
            f"The runs of {layout.name!r} can't be edited, because {found}, and nothing was "
            f"changed. The invariant is: {layout.workflow.invariants[name]}",
            found=found,
        )


def _field(layout: Layout, name: str, expression: str) -> Field:
    fields = {field.name: field for field in layout.fields}
    if name not in fields:
        raise InvalidOptionError(
            f"set names {name!r}, which is no field of workflow {layout.name!r}."
            f"{did_you_mean(name, fields)} Its fields are: {', '.join(fields)}.",
            option="set",
        )
    _checked(name, expression, layout)
    return fields[name]


def _evaluated(
    layout: Layout, expressions: Mapping[str, str], cursor: Cursor, runs: pa.Table, log_values: bool
) -> pa.Table:
    """Return the runs with the value of each field that is set.

    Raises:
        QueryError: The value of a run doesn't fit its field.
    """
    types = {field.name: field.type for field in layout.fields}
    given = {name: (sql, types[name]) for name, sql in expressions.items()}
    values = exact_values(cursor, layout.runs, given)
    selected = ", ".join(f"{value.raw} AS {quote(name)}" for name, value in values.items())
    with staged(cursor, runs):
        query = f'SELECT r.seq AS "#seq", {selected} FROM {layout.runs} AS r, {STAGED} AS s'
        found = fetch(cursor.sql(f'{query} WHERE r.seq = s."#seq"')).combine_chunks()
    columns = {name: value.written(one_array(found[name])) for name, value in values.items()}
    for name, column in columns.items():
        if column.problems:
            raise _unfit(layout, name, column, found["#seq"], log_values)
    arrays = {name: column.array for name, column in columns.items()}
    return pa.table({"#seq": found["#seq"], **arrays})


def _unfit(
    layout: Layout, name: str, column: WrittenColumn, seqs: pa.ChunkedArray, log_values: bool
) -> QueryError:
    row, problem = next(iter(column.problems.items()))
    what = "NULL" if problem == "None" else phrase_of(problem, log_values=log_values)
    run_id = UUID(int=layout.run_id_base + seqs[row].as_py())
    found = f"it is {what} for {counted(len(column.problems), 'run')}, such as {run_id}"
    expected = next(field.type for field in layout.fields if field.name == name)
    return QueryError(
        f"The value of {name!r} doesn't fit the field, which takes {expected}, and nothing was "
        f"changed: {found}.",
        found=found,
    )


def _checked(name: str, expression: str, layout: Layout) -> None:
    """Raise QueryError unless a text is one expression that a query may have, without a comma."""
    try:
        if is_one_expression(expression):
            require_reading(f"SELECT (\n{expression}\n)")
            require_known_names(expression, layout, None)
            if not returns_rows(expression):
                return
            found = "it may have several values for one run"
        else:
            found = "it is not one SQL expression"
    except QueryError as error:
        found = error.found
    columns = layout.column_names
    raise QueryError(
        f"The value of {name!r} is {expression!r}, which can't be executed: {found}."
        f"{quoting_hint(expression, found, columns)} Give one SQL expression over the columns "
        f"{', '.join(columns)}.",
        found=found,
    )
