"""What a load writes: for each column of ``runs``, the SQL of its values."""

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

_FOREIGN_ID_TYPES: Final = frozenset(
    {
        *("varchar", "enum", "uuid", "tinyint", "smallint", "integer", "bigint", "hugeint"),
        *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"),
    }
)
_DEFAULT: Final = "batchflow_default"


@dataclass(frozen=True)
class LoadedColumn:
    """One column of the source on its way.

    Attributes:
        column: the source's column.
        into: the column of ``runs``, or STAGED_ID, quoted.
        expected: what it is to hold, as messages say it.
        value: the SQL of the converted value.
        misfit: true where the row can't be loaded for it; None where that can't be.
        checked: whether `misfit` is more than that it is NULL, which the table itself refuses.
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
        SourceError: columns are of a type that can't become their field's; names all of them.
    """
    problems: list[str] = []
    planned = [_foreign_id(source, match.foreign_id, problems)]
    for field in layout.fields:
        if field.name in match.columns:
            planned.extend(_planned(source, match.columns[field.name], field, problems))
    if problems:
        raise SourceError(f"{source.label} has columns of other types: {'; '.join(problems)}.")
    return planned


def _foreign_id(source: LoadSource, column: str, problems: list[str]) -> LoadedColumn:
    found = source.columns[column]
    if found.id not in _FOREIGN_ID_TYPES:
        problems.append(f"{column!r} is {found}, and a foreign id is a text or an integer")
    value = quote(column)
    text = value if str(found) == "VARCHAR" else f"CAST({value} AS VARCHAR)"
    # NULLs are counted, as no constraint of the table refuses them.
    return LoadedColumn(column, STAGED_ID, "a foreign id", text, f"{value} IS NULL", checked=False)


def _planned(
    source: LoadSource, column: str, field: Field, problems: list[str]
) -> Iterator[LoadedColumn]:
    found = source.columns[column]
    fitting = unfit(found, field.type, quote(column))
    if fitting is None:
        problems.append(
            f"{column!r} is {found}, which can't become {field.type} without loss; convert it "
            "in SQL"
        )
        return
    value, misfit = fitting
    only_null = misfit in (None, f"{value} IS NULL") and not field.type.kind.nested
    # An exact cast is left out, so that the source's own columns are passed on as they are.
    if str(found) == field.type.sql:
        value = quote(column)
    yield LoadedColumn(column, quote(field.column), str(field.type), value, misfit, not only_null)


@contextmanager
def defaults(cursor: Cursor, fields: Sequence[Field]) -> Iterator[dict[str, str]]:
    """Evaluate the fields' defaults once, and return the SQL of those that aren't None, by column.

    Raises:
        LoadError: a default doesn't fit its own field.
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
        # What ended the load isn't to be hidden by what DuckDB then refuses as well.
        with suppress(duckdb.Error):
            for variable in variables.values():
                cursor.execute(f"RESET VARIABLE {variable}")


def _set_variable(cursor: Cursor, variable: str, field: Field, value: object) -> None:
    written = write_values([value], field.type)
    if written.problems:
        raise LoadError(
            f"The default of field {field.name!r} is {written.problems[0]}, and not "
            f"{field.type}; correct the workflow's object type."
        )
    with registered(cursor, _DEFAULT, pa.table({"value": written.array})):
        cursor.execute(
            f"SET VARIABLE {variable} = (SELECT CAST(value AS {field.type.sql}) FROM {_DEFAULT})"
        )


def engine_values(layout: Layout, code: int, now: datetime) -> dict[str, str]:
    """Return the SQL of what each new run has in the engine's own columns."""
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
