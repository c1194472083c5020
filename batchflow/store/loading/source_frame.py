"""Columns of a frame that Arrow would change or refuse: they are written as a step's columns are.

pandas and Polars have columns of Python's objects. Arrow guesses one type for all of them, and
Polars exports their addresses. pandas exports NaN as null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from batchflow.columns.array_writing import is_of_objects, write_column
from batchflow.columns.arrays import object_array
from batchflow.columns.missing import is_missing, without_nan
from batchflow.columns.value_writing import WrittenColumn
from batchflow.definition.field_type import FieldType, Kind
from batchflow.definition.fields import Field
from batchflow.store.loading.column_match import matched_fields
from batchflow.store.loading.fitted_table import MISFIT, NOTE
from batchflow.store.loading.object_values import built
from batchflow.store.loading.source_objects import misfits, with_label


def written_columns(given: Any, fields: Sequence[Field]) -> dict[str, WrittenColumn]:
    """Return the columns that have to be written; none if `given` isn't a frame."""
    if not hasattr(given, "columns") or not hasattr(given, "drop"):
        return {}
    names = [name for name in given.columns if isinstance(name, str)]
    matched = matched_fields(names, fields) if len(set(names)) == len(names) else {}
    written = {name: _written(given[name], field.type) for name, field in matched.items()}
    return {name: column for name, column in written.items() if column is not None}


def frame_of(given: Any, written: Mapping[str, WrittenColumn], fields: Sequence[Field]) -> pa.Table:
    """Return a frame as a table with these columns, and with a column of the misfits."""
    is_pandas = hasattr(given, "iloc")
    rest = given.drop(columns=list(written)) if is_pandas else given.drop(list(written))
    table = pa.RecordBatchReader.from_stream(rest).read_all()
    columns = dict(zip(table.column_names, table.columns, strict=True))
    columns |= {name: column.array for name, column in written.items()}
    none = WrittenColumn(pa.nulls(0))
    matched = matched_fields(list(columns), fields)
    found, notes = misfits([written.get(name, none) for name in matched], len(given))
    table = pa.table({**columns, MISFIT: found, NOTE: notes})
    return with_label(table, f"The {type(given).__name__}")


def _written(column: Any, field_type: FieldType) -> WrittenColumn | None:
    """Return a column as its field's type; None if Arrow exports it as it is."""
    if is_of_objects(column):
        return _objects_written(list(column), hasattr(column, "iloc"), field_type)
    dtype = getattr(column, "dtype", None)
    floats = isinstance(dtype, np.dtype) and dtype.kind == "f"
    if floats and field_type.kind is Kind.FLOAT and not field_type.nullable:
        return write_column(np.asarray(column), field_type)
    return None


def _objects_written(
    values: list[Any], in_pandas: bool, field_type: FieldType
) -> WrittenColumn | None:
    found = without_nan(object_array(values), field_type) if in_pandas else object_array(values)
    if in_pandas and field_type.kind is Kind.FLOAT and field_type.nullable:
        # To pandas, NaN and None are the same.
        found = object_array([None if _is_nan(value) else value for value in values])
    if all(value is None or is_missing(value) or isinstance(value, str) for value in found):
        return None
    if field_type.kind.nested or field_type.kind is Kind.ENUM:
        found = object_array([built(_listed(value, field_type), field_type) for value in found])
    return write_column(found, field_type)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _listed(value: Any, field_type: FieldType) -> Any:
    """Return a nested value with the lists and dicts that pandas reads as arrays and pairs."""
    match field_type.kind:
        case Kind.LIST if isinstance(value, np.ndarray | list):
            return [_listed(item, field_type.child("item")) for item in value]
        case Kind.MAP if isinstance(value, list) and all(isinstance(one, tuple) for one in value):
            return {key: _listed(item, field_type.child("value")) for key, item in value}
        case Kind.STRUCT if isinstance(value, Mapping):
            types = dict(field_type.children)
            return {
                key: _listed(item, types[key]) if key in types else item
                for key, item in value.items()
            }
        case _:
            return value
