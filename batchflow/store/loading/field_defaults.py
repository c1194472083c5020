"""The values of fields that a source lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
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
    return field.default_factory is not None and not is_constant(field.default_factory)


def is_constant(factory: object) -> bool:
    """Return whether a default factory creates equal values at each call."""
    return factory in _CONSTANT


def run_default(field: Field) -> str:
    """Return the column of RUN_DEFAULTS with a field's defaults, quoted."""
    return quote(f"#default_{field.column}")


def stage_run_defaults(
    cursor: Cursor,
    fields: Sequence[Field],
    rows: int,
    taken: Mapping[str, npt.NDArray[np.bool_]],
) -> None:
    """Create the table RUN_DEFAULTS: in each of its rows the factories of fields are called once.

    Args:
        cursor: The transaction's cursor.
        fields: The fields with factories.
        rows: The number of rows.
        taken: Which rows take the default, by the column of a field that others have a value for;
            the factory isn't called for these others.

    Raises:
        LoadError: A default doesn't fit its own field.
    """
    names = ", ".join(f"{run_default(field)} {field.type.sql}" for field in fields)
    cursor.execute(f"CREATE TEMP TABLE {RUN_DEFAULTS.partition('.')[2]} ({names})")
    for start in range(0, rows, _BATCH_ROWS):
        columns = {
            field.name: _made(field, _taking(taken.get(field.column), rows, start))
            for field in fields
        }
        casts = (f"CAST({quote(field.name)} AS {field.type.sql})" for field in fields)
        with registered(cursor, _DEFAULT, pa.table(columns)):
            cursor.execute(f"INSERT INTO {RUN_DEFAULTS} SELECT {', '.join(casts)} FROM {_DEFAULT}")


def _taking(taken: npt.NDArray[np.bool_] | None, rows: int, start: int) -> list[bool]:
    end = min(start + _BATCH_ROWS, rows)
    return [True] * (end - start) if taken is None else taken[start:end].tolist()


def _made(field: Field, taking: Sequence[bool]) -> pa.Array:
    # Row by row, because a factory creates one value.
    made = _written(field, [field.default_value() for takes in taking if takes])
    places = np.cumsum(taking) - 1
    return made.take(pa.array(places, mask=~np.asarray(taking, np.bool_)))


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
