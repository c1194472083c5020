"""Convert what a batch step assigned to a column to Arrow.

It may be a NumPy or Arrow array, a column of a data frame, a list, or one scalar for all runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from batchflow.columns.arrays import AnyArray, object_array, one_array
from batchflow.columns.arrow_writing import write_arrow
from batchflow.columns.missing import is_missing, without_nan
from batchflow.columns.numpy_writing import write_numpy
from batchflow.columns.row_order import (
    WrongLengthError,
    counted_values,
    in_row_order,
    require_one_column,
)
from batchflow.columns.times import has_times_without_zone
from batchflow.columns.value_writing import WrittenColumn, bounded, write_values
from batchflow.definition.field_type import FieldType, Kind

_SCALARS = (str, bytes, bytearray, dict)


def as_column(values: Any, rows: int, field_type: FieldType) -> AnyArray | pa.Array:
    """Return the assigned values as a NumPy or Arrow array of length `rows`; a scalar is repeated.

    Raises:
        ColumnShapeError: There are more or fewer values than rows, or their order isn't known.
    """
    if field_type.kind is not Kind.STRUCT:
        require_one_column(values)
    column = _unchecked_column(values, rows, field_type)
    if len(column) != rows:
        raise WrongLengthError(counted_values(len(column)), rows)
    return column


def to_array(column: Any, rows: int) -> AnyArray | pa.Array:
    """Return a column of a data frame as an Arrow array, and anything else as a NumPy array.

    Raises:
        ColumnShapeError: The column is a pandas column that can't be aligned, has no order, or has
            no length and yields more than `rows` values.
    """
    column = in_row_order(column, rows)
    if isinstance(column, pa.Array | pa.ChunkedArray):
        # An array built from buffers may be invalid, and nothing checks it later.
        column.validate(full=True)
        return one_array(column) if isinstance(column, pa.ChunkedArray) else column
    if isinstance(column, np.ndarray):
        return column
    if is_of_objects(column):
        return object_array(list(column))
    return _from_frame(column, rows)


def _from_frame(column: Any, rows: int) -> AnyArray | pa.Array:
    try:
        if hasattr(column, "__arrow_c_stream__"):
            return one_array(pa.chunked_array(column))
        if hasattr(column, "__arrow_c_array__"):
            return pa.array(column)
    except (pa.ArrowException, TypeError, ValueError):
        # pandas has columns that Arrow has no type for, such as categories of any objects.
        pass
    return object_array(_listed(column, rows))


def is_of_objects(column: Any) -> bool:
    """Return whether the column of a frame has Python's objects.

    Arrow would infer their types. It has no type for many of them, such as the members of an enum,
    and crashes the process on some. Polars sends the addresses of its objects.
    """
    dtype = getattr(column, "dtype", None)
    return dtype.hasobject if isinstance(dtype, np.dtype) else str(dtype) == "Object"


def _listed(column: Iterable[Any], rows: int) -> list[Any]:
    if hasattr(column, "__len__"):
        return list(column)
    # A generator may never end.
    values = list(itertools.islice(column, rows + 1))
    if len(values) > rows:
        raise WrongLengthError(f"more than {rows} values", rows)
    return values


def write_column(column: AnyArray | pa.Array, field_type: FieldType) -> WrittenColumn:
    """Convert a column of a batch to ``field_type.arrow``; the result names the unfit values."""
    if isinstance(column, np.ma.MaskedArray):
        return write_values(column.tolist(), field_type)
    if isinstance(column, np.ndarray) and column.dtype == object:
        return write_values(without_nan(column, field_type).tolist(), field_type)
    if isinstance(column, np.ndarray) and column.dtype.kind in "UT":
        # A column of texts names an enum's members.
        column = pa.array(column.tolist(), pa.string()) if field_type.kind is Kind.ENUM else column
    if isinstance(column, np.ndarray):
        return bounded(write_numpy(column, field_type), field_type)
    return write_arrow(column, field_type)


def _unchecked_column(values: Any, rows: int, field_type: FieldType) -> AnyArray | pa.Array:
    if isinstance(values, pa.Scalar):
        return pa.repeat(values, rows)
    if isinstance(values, np.ndarray) and values.ndim == 0:
        return np.full(rows, values)
    if values is None or _is_scalar(values, field_type):
        return object_array([values] * rows)
    column = in_row_order(values, rows)
    if has_times_without_zone(column) and field_type.kind in _PLAIN_TIMES:
        # A pandas column of a batch's times is as naive as the NumPy column that was read.
        return np.asarray(column)
    if field_type.kind is Kind.FLOAT and hasattr(column, "isna") and hasattr(column, "dtype"):
        return _pandas_floats(column, field_type)
    return to_array(column, rows)


def _pandas_floats(column: Any, field_type: FieldType) -> AnyArray | pa.Array:
    """Return a pandas column with NaN only for a field that can't be None.

    To pandas, NaN and None are the same.
    """
    if isinstance(column.dtype, np.dtype) and not field_type.nullable:
        return np.asarray(column)
    if is_of_objects(column):
        missing = zip(column, column.isna(), strict=True)
        return object_array([None if gone else value for value, gone in missing])
    return to_array(column, len(column))


def _is_scalar(values: Any, field_type: FieldType) -> bool:
    if is_missing(values):
        return True
    if isinstance(values, (*_SCALARS, field_type.python)):
        return field_type.kind is not Kind.LIST
    return not hasattr(values, "__iter__") and not hasattr(values, "__arrow_c_array__")


_PLAIN_TIMES = (Kind.DATE, Kind.DATETIME_UTC)
