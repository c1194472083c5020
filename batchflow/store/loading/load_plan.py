"""Plan what a load writes: the SQL of the values of each column of ``runs``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from batchflow.chunk.chunk import FOREIGN_ID
from batchflow.definition.fields import Field, FieldType
from batchflow.definition.run_state import RunState
from batchflow.store.loading.column_fit import fit_required
from batchflow.store.loading.column_match import ColumnMatch
from batchflow.store.loading.fitted_table import (
    FOREIGN_ID_TYPES,
    TEXT_TYPES,
    require_convertible,
    type_problem,
)
from batchflow.store.loading.sources import LoadSource
from batchflow.store.schema.layout import RUN_STATE_TYPE, Layout, literal, quote, type_name

STAGED_ID: Final = quote(FOREIGN_ID)
FIRST_VERSION: Final = 1
FIRST_ATTEMPT: Final = 1


@dataclass(frozen=True)
class LoadedColumn:
    """One column of the source, and how it is loaded.

    Attributes:
        column: The source's column.
        name: What messages call the column.
        into: The column of ``runs``, or STAGED_ID, quoted.
        expected: The type that messages show.
        value: The SQL of the converted value.
        misfit: The condition that the value can't be loaded; None if every value can.
        checked: Whether `misfit` is more than that the value is NULL, which the table refuses.
        absent: The column that states whether a row takes the field's default, if some do.
        nested: The type of a field whose values contain others.
    """

    column: str
    name: str
    into: str
    expected: str
    value: str
    misfit: str | None
    checked: bool
    absent: str | None = None
    nested: FieldType | None = None


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
    require_convertible(source.label, problems)
    return planned


def _foreign_id(source: LoadSource, column: str, problems: list[str]) -> LoadedColumn:
    found = source.columns[column]
    if found.id not in FOREIGN_ID_TYPES:
        problems.append(f"{column!r} is {found}, but a foreign id is a text or an integer")
    value = quote(column)
    text = value if str(found) == "VARCHAR" else f"CAST({value} AS VARCHAR)"
    # NULL and an empty text are misfits, because the table has no constraint that refuses them.
    empty = f" OR {text} = ''" if found.id in TEXT_TYPES else ""
    misfit = f"{value} IS NULL{empty}"
    name = column if source.fitted is None else source.fitted.key_name
    return LoadedColumn(column, name, STAGED_ID, "a foreign id", text, misfit, checked=False)


def _planned(
    source: LoadSource, column: str, field: Field, problems: list[str]
) -> Iterator[LoadedColumn]:
    found = source.columns[column]
    nested = field.type if field.type.kind.nested else None
    if source.fitted is not None:
        # It was fitted where it was read.
        value = f"CAST({quote(column)} AS {field.type.sql})"
        into = quote(field.column)
        absent = source.fitted.absent.get(column)
        of_column = (column, column, into, str(field.type), value)
        yield LoadedColumn(*of_column, None, checked=False, absent=absent, nested=nested)
        return
    fitting = fit_required(found, field.type, quote(column))
    if fitting is None:
        problems.append(type_problem(column, found, field.type))
        return
    value, misfit = fitting.value, fitting.misfit
    only_null = misfit in (None, f"{value} IS NULL") and not field.type.kind.nested
    # Without the cast, DuckDB reads the source's own column.
    if str(found) == type_name(field.type.sql):
        value = quote(column)
    into = quote(field.column)
    of_column = (column, column, into, str(field.type), value)
    yield LoadedColumn(*of_column, misfit, checked=not only_null, nested=nested)


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
