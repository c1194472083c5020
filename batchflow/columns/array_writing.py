"""Convert what a batch step assigned to a column to Arrow.

It may be a NumPy or Arrow array, a column of a data frame, a list, or one scalar for all runs.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.columns.arrays import AnyArray, object_array, one_array
from batchflow.columns.missing import is_missing, without_nan
from batchflow.columns.row_order import (
    WrongLengthError,
    counted_values,
    in_row_order,
    require_one_column,
)
from batchflow.columns.times import has_times_without_zone, in_range
from batchflow.columns.value_writing import StructSnapshot, WrittenColumn, bounded, write_values
from batchflow.definition.field_type import FieldType, Kind

_UUID_BYTES = 16
_LARGEST_WHOLE = 2.0**53
_SCALARS = (str, bytes, bytearray, dict)
_CONVERSION_ERRORS = (pa.ArrowException, ValueError, OverflowError, TypeError)


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
    if _is_of_objects(column):
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


def _is_of_objects(column: Any) -> bool:
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
    if isinstance(column, np.ndarray):
        return bounded(_write_numpy(column, field_type), field_type)
    return bounded(_write_arrow(column, field_type), field_type)


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
    if _is_of_objects(column):
        missing = zip(column, column.isna(), strict=True)
        return object_array([None if gone else value for value, gone in missing])
    return to_array(column, len(column))


def _is_scalar(values: Any, field_type: FieldType) -> bool:
    if is_missing(values):
        return True
    if isinstance(values, (*_SCALARS, field_type.python)):
        return field_type.kind is not Kind.LIST
    return not hasattr(values, "__iter__") and not hasattr(values, "__arrow_c_array__")


def _write_numpy(column: AnyArray, field_type: FieldType) -> WrittenColumn:
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


def _whole_numbers(column: AnyArray, field_type: FieldType) -> WrittenColumn:
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
    return _with_nulls_found(array, field_type)


def _times(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    unit = _UNITS[field_type.kind]
    possible = in_range(column)
    times = np.where(possible, column, np.array("NaT", column.dtype))
    rounded = times.astype(unit)
    fits = possible & ((rounded == times) | np.isnat(times))
    array = pa.array(rounded).cast(field_type.arrow)
    found = f"{column.dtype} that {field_type.arrow} can't hold"
    problems = dict.fromkeys(np.flatnonzero(~fits).tolist(), found)
    return _with_nulls_found(array, field_type, problems)


def _checked(
    numbers: pa.Array, fits: npt.NDArray[np.bool_], column: AnyArray, field_type: FieldType
) -> WrittenColumn:
    found = f"a {column.dtype} that {field_type.arrow} can't hold"
    problems = dict.fromkeys(np.flatnonzero(~fits).tolist(), found)
    return WrittenColumn(numbers, problems)


def _with_nulls_found(
    array: pa.Array, field_type: FieldType, problems: dict[int, str] | None = None
) -> WrittenColumn:
    found = dict(problems or {})
    if array.null_count and not field_type.nullable:
        nulls = array.is_null().to_numpy(zero_copy_only=False)
        found = {**dict.fromkeys(np.flatnonzero(nulls).tolist(), "None"), **found}
    return WrittenColumn(array, found)


def _write_arrow(column: pa.Array, field_type: FieldType) -> WrittenColumn:
    plain = _without_dictionary(column)
    if pa.types.is_floating(plain.type) and field_type.kind is Kind.INT:
        return _whole_arrow_numbers(plain, field_type)
    if pa.types.is_decimal(plain.type) and field_type.kind is Kind.FLOAT:
        return _floats_of_decimals(plain, field_type)
    if _is_naive_time(plain.type) and field_type.kind is Kind.DATE:
        return _times(plain.to_numpy(zero_copy_only=False), field_type)
    if not _casts_safely(plain.type, field_type):
        return write_values(_python_values_of_arrow(column, field_type), field_type)
    try:
        cast = plain if plain.type == field_type.arrow else plain.cast(field_type.arrow)
    except (pa.ArrowException, ValueError):
        return write_values(_python_values_of_arrow(column, field_type), field_type)
    if field_type.kind in _UNITS:
        return _times(cast.to_numpy(zero_copy_only=False), field_type)
    return _with_nulls_found(cast, field_type)


def _whole_arrow_numbers(column: pa.Array, field_type: FieldType) -> WrittenColumn:
    # Arrow has nulls, so that NaN is no gap.
    numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
    whole = _whole_numbers(numbers, replace(field_type, nullable=False))
    array = pc.if_else(column.is_valid(), whole.array, pa.scalar(None, field_type.arrow))
    return _with_nulls_found(array, field_type, whole.problems)


def _floats_of_decimals(column: pa.Array, field_type: FieldType) -> WrittenColumn:
    """Accept the decimals that a float gives back."""
    numbers = column.cast(pa.float64(), safe=False)
    kept = pc.equal(numbers.cast(column.type, safe=False), column).fill_null(True)
    found = f"a {column.type} that {field_type.arrow} can't hold"
    unfit = np.flatnonzero(~kept.to_numpy(zero_copy_only=False)).tolist()
    return _with_nulls_found(numbers, field_type, dict.fromkeys(unfit, found))


def _is_naive_time(arrow: pa.DataType) -> bool:
    return pa.types.is_timestamp(arrow) and arrow.tz is None


def _without_dictionary(column: pa.Array) -> pa.Array:
    if not pa.types.is_dictionary(column.type):
        return column
    if pa.types.is_string_view(column.dictionary.type):
        # Polars uses string views, and Arrow can't decode a dictionary of those.
        texts = column.dictionary.cast(pa.string())
        column = pa.DictionaryArray.from_arrays(column.indices, texts)
    return column.dictionary_decode()


def _casts_safely(arrow: pa.DataType, field_type: FieldType) -> bool:
    """Return whether Arrow's cast between the two types refuses values that mustn't be coerced."""
    accepted = _SAFE_CASTS.get(field_type.kind)
    if accepted is None:
        return bool(arrow == field_type.arrow) and not _has_unchecked_values(field_type)
    return any(test(arrow) for test in accepted)


def _has_unchecked_values(field_type: FieldType) -> bool:
    return field_type.kind is Kind.ENUM or field_type.kind.nested


def _python_values_of_arrow(column: pa.Array, field_type: FieldType) -> Sequence[Any]:
    values: list[Any] = column.to_pylist()
    if field_type.kind in (Kind.ENUM, Kind.UUID) or field_type.kind.nested:
        # Arrow has names for an enum's members and dicts for dataclasses. Data frames have bytes
        # for UUIDs.
        return [_from_arrow(value, field_type) for value in values]
    return values


def _from_arrow(value: Any, field_type: FieldType) -> Any:
    match field_type.kind:
        case Kind.ENUM if isinstance(value, str):
            return field_type.python.__members__.get(value, value)
        case Kind.UUID if isinstance(value, bytes) and len(value) == _UUID_BYTES:
            return uuid.UUID(bytes=value)
        case Kind.STRUCT if isinstance(value, dict):
            return _struct_from_arrow(value, field_type)
        case Kind.LIST if isinstance(value, list):
            return [_from_arrow(item, field_type.child("item")) for item in value]
        case Kind.INT if isinstance(value, float) and value.is_integer():
            return int(value) if abs(value) < _LARGEST_WHOLE else value
        case Kind.MAP if isinstance(value, list):
            child = field_type.child("value")
            return {key: _from_arrow(item, child) for key, item in _pairs(value)}
    return value


def _pairs(value: list[Any]) -> Iterable[tuple[Any, Any]]:
    # Polars represents maps as lists of structs.
    return (tuple(pair.values()) if isinstance(pair, dict) else pair for pair in value)


def _struct_from_arrow(value: dict[str, Any], field_type: FieldType) -> Any:
    parts = dict(field_type.children)
    if parts.keys() != value.keys():
        return value
    return StructSnapshot(_from_arrow(value[name], child) for name, child in parts.items())


_Converter = Callable[[AnyArray, FieldType], WrittenColumn]
_PLAIN_TIMES = (Kind.DATE, Kind.DATETIME_UTC)
_UNITS = {
    Kind.DATE: "datetime64[D]",
    Kind.DATETIME: "datetime64[us]",
    Kind.DATETIME_UTC: "datetime64[us]",
    Kind.TIMEDELTA: "timedelta64[us]",
}
_NUMPY: dict[tuple[str, Kind], _Converter] = {
    ("b", Kind.BOOL): _plain_numbers,
    ("i", Kind.INT): _plain_numbers,
    ("u", Kind.INT): _integers,
    ("f", Kind.INT): _whole_numbers,
    ("f", Kind.FLOAT): _floats,
    ("i", Kind.FLOAT): _floats,
    ("u", Kind.FLOAT): _floats,
    ("U", Kind.STR): _texts,
    ("T", Kind.STR): _texts,
    ("M", Kind.DATE): _times,
    ("M", Kind.DATETIME): _times,
    ("M", Kind.DATETIME_UTC): _times,
    ("m", Kind.TIMEDELTA): _times,
}
_SAFE_CASTS: dict[Kind, tuple[Callable[[pa.DataType], bool], ...]] = {
    Kind.INT: (pa.types.is_integer, pa.types.is_decimal, pa.types.is_null),
    Kind.FLOAT: (pa.types.is_floating, pa.types.is_integer, pa.types.is_null),
    Kind.STR: (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    Kind.DATETIME: (_is_naive_time,),
    Kind.DATETIME_UTC: (lambda arrow: pa.types.is_timestamp(arrow) and arrow.tz is not None,),
    Kind.BYTES: (pa.types.is_binary, pa.types.is_large_binary),
    Kind.DECIMAL: (pa.types.is_decimal,),
    Kind.DATE: (pa.types.is_date32,),
    Kind.TIMEDELTA: (pa.types.is_duration,),
}
