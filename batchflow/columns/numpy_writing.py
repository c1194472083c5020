"""Convert NumPy columns of a batch to Arrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.arrays import AnyArray
from batchflow.columns.times import in_range
from batchflow.columns.value_writing import WrittenColumn, write_values
from batchflow.definition.field_type import FieldType, Kind

_LARGEST_WHOLE = 2.0**53
_CONVERSION_ERRORS = (pa.ArrowException, ValueError, OverflowError, TypeError)


def write_numpy(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    """Convert a NumPy column to ``field_type.arrow``; the result names the unfit values."""
    if column.ndim != 1:
        return write_values(list(column), field_type)
    convert = _NUMPY.get((column.dtype.kind, field_type.kind))
    if convert is None:
        return write_values(_python_values(column), field_type)
    return convert(column, field_type)


def _python_values(column: AnyArray) -> list[Any]:
    # NumPy converts times whose unit isn't µs to plain numbers. Its scalars keep them.
    if column.dtype.kind in "mM":
        return [None if np.isnat(value) else value for value in column]
    values: list[Any] = column.tolist()
    return values


def _plain_numbers(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    return WrittenColumn(pa.array(np.ascontiguousarray(column), field_type.arrow))


def _integers(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    fits = column <= np.iinfo(np.int64).max
    numbers = np.where(fits, column, 0).astype(np.int64)
    return _checked(pa.array(numbers), fits, column, field_type)


def whole_numbers(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    """Accept floats without a fraction as ints, and NaN as None.

    NumPy converts a whole column to floats as soon as one value has a fraction, and pandas as soon
    as one is missing, so whether a run has 1 or 1.0 depends on other runs. From 2**53 on, several
    ints become the same float.
    """
    missing = np.isnan(column) if field_type.nullable else np.zeros(len(column), np.bool_)
    fits = np.abs(column) < _LARGEST_WHOLE
    fits &= np.floor(np.where(fits, column, 0)) == column
    numbers = np.where(fits, column, 0).astype(np.int64)
    return _checked(pa.array(numbers, mask=missing), fits | missing, column, field_type)


def _floats(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    numbers = column.astype(np.float64)
    if column.dtype.kind == "f":
        return WrittenColumn(pa.array(numbers))
    limit = 2**53
    exact = (column <= limit) & (column >= -limit if column.dtype.kind == "i" else True)
    if exact.all():
        return WrittenColumn(pa.array(numbers))
    return write_values(column.tolist(), field_type)


def _texts(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    try:
        array = pa.array(column, field_type.arrow)
    except _CONVERSION_ERRORS:
        return write_values(column.tolist(), field_type)
    return with_nulls_found(array, field_type)


def write_times(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    """Convert ``datetime64`` or ``timedelta64`` of any unit, exactly."""
    unit = TIME_UNITS[field_type.kind]
    possible = in_range(column)
    times = np.where(possible, column, np.array("NaT", column.dtype))
    rounded = times.astype(unit)
    fits = possible & ((rounded == times) | np.isnat(times))
    array = pa.array(rounded).cast(field_type.arrow)
    found = f"{column.dtype} that {field_type.arrow} can't hold"
    problems = dict.fromkeys(np.flatnonzero(~fits).tolist(), found)
    return with_nulls_found(array, field_type, problems)


def _checked(
    numbers: pa.Array, fits: npt.NDArray[np.bool_], column: AnyArray, field_type: FieldType
) -> WrittenColumn:
    found = f"a {column.dtype} that {field_type.arrow} can't hold"
    problems = dict.fromkeys(np.flatnonzero(~fits).tolist(), found)
    return WrittenColumn(numbers, problems)


def with_nulls_found(
    array: pa.Array, field_type: FieldType, problems: dict[int, str] | None = None
) -> WrittenColumn:
    """Add the nulls of a field that can't be None to the problems."""
    found = dict(problems or {})
    if array.null_count and not field_type.nullable:
        nulls = array.is_null().to_numpy(zero_copy_only=False)
        found = {**dict.fromkeys(np.flatnonzero(nulls).tolist(), "None"), **found}
    return WrittenColumn(array, found)


_Converter = Callable[[AnyArray, FieldType], WrittenColumn]
TIME_UNITS = {
    Kind.DATE: "datetime64[D]",
    Kind.DATETIME: "datetime64[us]",
    Kind.DATETIME_UTC: "datetime64[us]",
    Kind.TIMEDELTA: "timedelta64[us]",
}
_NUMPY: dict[tuple[str, Kind], _Converter] = {
    ("b", Kind.BOOL): _plain_numbers,
    ("i", Kind.INT): _plain_numbers,
    ("u", Kind.INT): _integers,
    ("f", Kind.INT): whole_numbers,
    ("f", Kind.FLOAT): _floats,
    ("i", Kind.FLOAT): _floats,
    ("u", Kind.FLOAT): _floats,
    ("U", Kind.STR): _texts,
    ("T", Kind.STR): _texts,
    ("M", Kind.DATE): write_times,
    ("M", Kind.DATETIME): write_times,
    ("M", Kind.DATETIME_UTC): write_times,
    ("m", Kind.TIMEDELTA): write_times,
}
