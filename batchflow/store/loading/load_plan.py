"""Plan what a load writes: the SQL of the values of each column of ``runs``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import duckdb
import pyarrow as pa

from batchflow.chunk.chunk import FOREIGN_ID
from batchflow.columns.value_writing import write_values
from batchflow.definition.fields import Field
from batchflow.definition.run_state import RunState
from batchflow.errors import LoadError, SourceError
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import registered
from batchflow.store.loading.column_fit import unfit
from batchflow.store.loading.column_match import ColumnMatch
from batchflow.store.loading.sources import LoadSource
from batchflow.store.schema.layout import RUN_STATE_TYPE, Layout, literal, quote

STAGED_ID: Final = quote(FOREIGN_ID)
FIRST_VERSION: Final = 1
FIRST_ATTEMPT: Final = 1

_TEXT_TYPES: Final = frozenset({"varchar", "enum"})
_FOREIGN_ID_TYPES: Final = frozenset(
    {
        *_TEXT_TYPES,
        *("uuid", "tinyint", "smallint", "integer", "bigint", "hugeint"),
        *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"),
    }
)
_DEFAULT: Final = "batchflow_default"


@dataclass(frozen=True)
class LoadedColumn:
    """One column of the source, and how it is loaded.

    Attributes:
        column: The source's column.
        into: The column of ``runs``, or STAGED_ID, quoted.
        expected: The type that messages show.
        value: The SQL of the converted value.
        misfit: The condition that the value can't be loaded; None if every value can.
        checked: Whether `misfit` is more than that the value is NULL, which the table refuses.
    """

    column: str
    into: str
    expected: str
    value: str
    misfit: str | None
    checked: bool


def plan_columns(source: LoadSource, match: ColumnMatch, layout: Layout) -> list[LoadedColumn]:
    """Return the columns to load, the foreign id first.

    Raises:
        SourceError: Columns have types that can't be converted; the message lists all of them.
    """
    problems: list[str] = []
    planned = [_foreign_id(source, match.foreign_id, problems)]
    for field in layout.fields:
        if field.name in match.columns:
            planned.extend(_planned(source, match.columns[field.name], field, problems))
    if problems:
        raise SourceError(
            f"{source.label} has columns that can't be converted: {'; '.join(problems)}."
        )
    return planned


def _foreign_id(source: LoadSource, column: str, problems: list[str]) -> LoadedColumn:
    found = source.columns[column]
    if found.id not in _FOREIGN_ID_TYPES:
        problems.append(f"{column!r} is {found}, but a foreign id is a text or an integer")
    value = quote(column)
    text = value if str(found) == "VARCHAR" else f"CAST({value} AS VARCHAR)"
    # NULL and an empty text are misfits, because the table has no constraint that refuses them.
    empty = f" OR {text} = ''" if found.id in _TEXT_TYPES else ""
    misfit = f"{value} IS NULL{empty}"
    return LoadedColumn(column, STAGED_ID, "a foreign id", text, misfit, checked=False)


def _planned(
    source: LoadSource, column: str, field: Field, problems: list[str]
) -> Iterator[LoadedColumn]:
    found = source.columns[column]
    fitting = unfit(found, field.type, quote(column))
    if fitting is None:
        problems.append(
            f"{column!r} is {found}, which can't become {field.type} without loss (convert it in "
            "SQL)"
        )
        return
    value, misfit = fitting
    only_null = misfit in (None, f"{value} IS NULL") and not field.type.kind.nested
    # Without the cast, DuckDB reads the source's own column.
    if str(found) == field.type.sql:
        value = quote(column)
    yield LoadedColumn(column, quote(field.column), str(field.type), value, misfit, not only_null)


@contextmanager
def defaults(cursor: Cursor, fields: Sequence[Field]) -> Iterator[dict[str, str]]:
    """Evaluate the fields' defaults once, and yield the SQL of those that aren't None, by column.

    Raises:
        LoadError: A default doesn't fit its own field.
    """
    variables: dict[str, str] = {}
    try:
        for position, field in enumerate(fields):
            value = field.default_value()
            if value is not None or not field.nullable:
                variable = f"batchflow_default_{position}"
                _set_variable(cursor, variable, field, value)
                variables[quote(field.column)] = variable
        yield {column: f"getvariable({literal(v)})" for column, v in variables.items()}
    finally:
        # An error here would hide the one that ended the load.
        with suppress(duckdb.Error):
            for variable in variables.values():
                cursor.execute(f"RESET VARIABLE {variable}")


def _set_variable(cursor: Cursor, variable: str, field: Field, value: object) -> None:
    written = write_values([value], field.type)
    if written.problems:
        raise LoadError(
            f"The default of field {field.name!r} is {written.problems[0]} instead of "
            f"{field.type}. Correct the workflow's object type."
        )
    with registered(cursor, _DEFAULT, pa.table({"value": written.array})):
        cursor.execute(
            f"SET VARIABLE {variable} = (SELECT CAST(value AS {field.type.sql}) FROM {_DEFAULT})"
        )


def engine_values(layout: Layout, code: int, now: datetime) -> dict[str, str]:
    """Return the SQL of a new run's values in the engine's own columns."""
    initiated = f"CAST({literal(RunState.INITIATED.name)} AS {RUN_STATE_TYPE})"
    instant = f"CAST({literal(now.isoformat())} AS TIMESTAMPTZ)"
    return {
        "status": layout.status(code),
        "run_state": initiated,
        "version": str(FIRST_VERSION),
        "attempt": str(FIRST_ATTEMPT),
        "created_at": instant,
        "updated_at": instant,
    }
