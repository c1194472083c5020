"""The values of fields that a source lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import duckdb
import pyarrow as pa

from batchflow.columns.value_writing import write_values
from batchflow.definition.fields import Field
from batchflow.errors import LoadError
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import registered
from batchflow.store.schema.layout import literal, quote

RUN_DEFAULTS: Final = "temp.batchflow_run_defaults"
_DEFAULT: Final = "batchflow_default"
_BATCH_ROWS: Final = 16_384
# These factories create equal values at each call.
_CONSTANT: Final = (list, dict, set, tuple, str, bytes, int, float, bool)


def is_made_per_run(field: Field) -> bool:
    """Return whether a default factory has to be called for each run."""
    return field.default_factory is not None and field.default_factory not in _CONSTANT


def stage_run_defaults(cursor: Cursor, fields: Sequence[Field], rows: int) -> None:
    """Create the table RUN_DEFAULTS: in each of its rows the factories of fields are called once.

    Raises:
        LoadError: A default doesn't fit its own field.
    """
    names = ", ".join(f"{quote(field.column)} {field.type.sql}" for field in fields)
    cursor.execute(f"CREATE TEMP TABLE {RUN_DEFAULTS.partition('.')[2]} ({names})")
    for start in range(0, rows, _BATCH_ROWS):
        count = min(_BATCH_ROWS, rows - start)
        # Row by row, because a factory creates one value.
        columns = {
            field.name: _written(field, [field.default_value() for _ in range(count)])
            for field in fields
        }
        casts = (f"CAST({quote(field.name)} AS {field.type.sql})" for field in fields)
        with registered(cursor, _DEFAULT, pa.table(columns)):
            cursor.execute(f"INSERT INTO {RUN_DEFAULTS} SELECT {', '.join(casts)} FROM {_DEFAULT}")


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
    with registered(cursor, _DEFAULT, pa.table({"value": _written(field, [value])})):
        cursor.execute(
            f"SET VARIABLE {variable} = (SELECT CAST(value AS {field.type.sql}) FROM {_DEFAULT})"
        )


def _written(field: Field, values: list[object]) -> pa.Array:
    written = write_values(values, field.type)
    if written.problems:
        found = next(iter(written.problems.values()))
        raise LoadError(
            f"The default of field {field.name!r} is {found} instead of {field.type}. Correct the "
            "workflow's object type."
        )
    return written.array
