"""Turn what a batch step assigned to a column into Arrow: NumPy, Arrow, frames, lists, scalars."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.arrays import AnyArray, object_array, one_array
from batchflow.columns.times import in_range
from batchflow.columns.value_writing import StructSnapshot, WrittenColumn, bounded, write_values
from batchflow.definition.field_type import FieldType, Kind

_UUID_BYTES = 16
_SCALARS = (str, bytes, bytearray, dict)
_CAN_HOLD_EACH = (pa.ArrowException, ValueError, OverflowError, TypeError)


class WrongLengthError(ValueError):
    """A column needs one value for each run of the batch."""


def as_column(values: Any, rows: int, field_type: FieldType) -> AnyArray | pa.Array:
    """Return what was assigned as a NumPy or Arrow array of `rows` values; a scalar for all.

    Raises:
        WrongLengthError: there are more or fewer values.
    """
    column = _unchecked_column(values, rows, field_type)
    if len(column) != rows:
        raise WrongLengthError(f"{len(column)} values for {rows} runs; give one for each run")
    return column


def to_array(column: Any, rows: int) -> AnyArray | pa.Array:
    """Return an array of Arrow's where `column` is a column of some frame, else one of NumPy's.

    Raises:
        WrongLengthError: it has no length, and goes on when there are `rows` values.
    """
    if isinstance(column, pa.Array | pa.ChunkedArray):
        # Whoever builds one from buffers may get it wrong, and nothing checks it from here on.
        column.validate(full=True)
        return one_array(column) if isinstance(column, pa.ChunkedArray) else column
    if isinstance(column, np.ndarray):
        return column
    if _is_of_objects(column):
        return _objects(column)
    if hasattr(column, "__arrow_c_stream__"):
        return one_array(pa.chunked_array(column))
    if hasattr(column, "__arrow_c_array__"):
        return pa.array(column)
    return object_array(_listed(column, rows))


def _is_of_objects(column: Any) -> bool:
    """Tell a pandas column of objects, of which Arrow would find out the types.

    It has none for many of them, such as an enum's members, and lets some end the process.
    """
    dtype = getattr(column, "dtype", None)
    return isinstance(dtype, np.dtype) and dtype.hasobject and hasattr(column, "isna")


def _objects(column: Any) -> AnyArray:
    missing = zip(column, column.isna(), strict=True)
    return object_array([None if gone else value for value, gone in missing])


def _listed(column: Iterable[Any], rows: int) -> list[Any]:
    if hasattr(column, "__len__"):
        return list(column)
    # A generator may never end.
    values = list(itertools.islice(column, rows + 1))
    if len(values) > rows:
        raise WrongLengthError(f"more than {rows} values for {rows} runs; give one for each run")
    return values


def write_column(column: AnyArray | pa.Array, field_type: FieldType) -> WrittenColumn:
    """Convert a column of a batch to ``field_type.arrow``, and find the values that don't fit."""
    if isinstance(column, np.ma.MaskedArray):
        return write_values(column.tolist(), field_type)
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
    return to_array(values, rows)


def _is_scalar(values: Any, field_type: FieldType) -> bool:
    if isinstance(values, (*_SCALARS, field_type.python)):
        return field_type.kind is not Kind.LIST
    return not hasattr(values, "__iter__") and not hasattr(values, "__arrow_c_array__")


def _write_numpy(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    if column.ndim != 1:
        return write_values(list(column), field_type)
    quick = _NUMPY.get((column.dtype.kind, field_type.kind))
    if quick is None:
        return write_values(_python_values(column), field_type)
    return quick(column, field_type)


def _python_values(column: AnyArray) -> list[Any]:
    # NumPy turns times of other units than µs into plain numbers; its own scalars keep them.
    if column.dtype.kind in "mM":
        return [None if np.isnat(value) else value for value in column]
    values: list[Any] = column.tolist()
    return values


def _plain_numbers(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    return WrittenColumn(pa.array(np.ascontiguousarray(column), field_type.arrow))


def _integers(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    fits = column <= np.iinfo(np.int64).max
    return _checked(np.where(fits, column, 0).astype(np.int64), fits, column, field_type)


def _whole_numbers(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    """Take floats without a fraction for ints.

    NumPy makes floats of ints as soon as one of them has a fraction, so whether it is 1 or 1.0
    is not the run's own doing.
    """
    limit = 2.0**63
    fits = np.isfinite(column) & (column >= -limit) & (column < limit)
    fits &= np.floor(np.where(fits, column, 0)) == column
    return _checked(np.where(fits, column, 0).astype(np.int64), fits, column, field_type)


def _floats(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    numbers = column.astype(np.float64)
    if column.dtype.kind == "f":
        return WrittenColumn(pa.array(numbers))
    limit = 2**53
    surely = (column <= limit) & (column >= -limit if column.dtype.kind == "i" else True)
    if surely.all():
        return WrittenColumn(pa.array(numbers))
    return write_values(column.tolist(), field_type)


def _texts(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    try:
        array = pa.array(column, field_type.arrow)
    except _CAN_HOLD_EACH:
        return write_values(column.tolist(), field_type)
    return _with_nulls_found(array, field_type)


def _times(column: AnyArray, field_type: FieldType) -> WrittenColumn:
    unit = _UNITS[field_type.kind]
    possible = in_range(column)
    held = np.where(possible, column, np.array("NaT", column.dtype))
    rounded = held.astype(unit)
    fits = possible & ((rounded == held) | np.isnat(held))
    array = pa.array(rounded).cast(field_type.arrow)
    found = f"{column.dtype} that {field_type.arrow} can't hold"
    problems = dict.fromkeys(np.flatnonzero(~fits).tolist(), found)
    return _with_nulls_found(array, field_type, problems)


def _checked(
    numbers: AnyArray, fits: npt.NDArray[np.bool_], column: AnyArray, field_type: FieldType
) -> WrittenColumn:
    found = f"a {column.dtype} that {field_type.arrow} can't hold"
    problems = dict.fromkeys(np.flatnonzero(~fits).tolist(), found)
    return WrittenColumn(pa.array(numbers), problems)


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
    if not _is_alike(plain.type, field_type):
        return write_values(_python_values_of_arrow(column, field_type), field_type)
    try:
        cast = plain if plain.type == field_type.arrow else plain.cast(field_type.arrow)
    except (pa.ArrowException, ValueError):
        return write_values(_python_values_of_arrow(column, field_type), field_type)
    if field_type.kind in _UNITS:
        return _times(cast.to_numpy(zero_copy_only=False), field_type)
    return _with_nulls_found(cast, field_type)


def _without_dictionary(column: pa.Array) -> pa.Array:
    if not pa.types.is_dictionary(column.type):
        return column
    if pa.types.is_string_view(column.dictionary.type):
        # The texts of Polars, which Arrow has no way to decode.
        texts = column.dictionary.cast(pa.string())
        column = pa.DictionaryArray.from_arrays(column.indices, texts)
    return column.dictionary_decode()


def _is_alike(arrow: pa.DataType, field_type: FieldType) -> bool:
    """Tell whether Arrow's own cast between the two refuses what mustn't be coerced."""
    alike = _ALIKE.get(field_type.kind)
    if alike is None:
        return bool(arrow == field_type.arrow) and not _holds_unchecked(field_type)
    return any(test(arrow) for test in alike)


def _holds_unchecked(field_type: FieldType) -> bool:
    return field_type.kind is Kind.ENUM or field_type.kind.nested


def _python_values_of_arrow(column: pa.Array, field_type: FieldType) -> Sequence[Any]:
    values: list[Any] = column.to_pylist()
    if field_type.kind in (Kind.ENUM, Kind.UUID) or field_type.kind.nested:
        # Arrow has no members and no dataclasses: names and dicts are what it has for them.
        # Where it has UUIDs, frames don't: they have bytes.
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
        case Kind.MAP if isinstance(value, list | dict):
            child = field_type.child("value")
            return {key: _from_arrow(item, child) for key, item in _pairs(value)}
    return value


def _pairs(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return value.items()
    # Polars has lists of structs for maps.
    return (tuple(pair.values()) if isinstance(pair, dict) else pair for pair in value)


def _struct_from_arrow(value: dict[str, Any], field_type: FieldType) -> Any:
    parts = dict(field_type.children)
    if parts.keys() != value.keys():
        return value
    return StructSnapshot(_from_arrow(value[name], child) for name, child in parts.items())


_Quick = Callable[[AnyArray, FieldType], WrittenColumn]
_UNITS = {
    Kind.DATE: "datetime64[D]",
    Kind.DATETIME: "datetime64[us]",
    Kind.DATETIME_UTC: "datetime64[us]",
    Kind.TIMEDELTA: "timedelta64[us]",
}
_NUMPY: dict[tuple[str, Kind], _Quick] = {
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
_ALIKE: dict[Kind, tuple[Callable[[pa.DataType], bool], ...]] = {
    Kind.INT: (pa.types.is_integer, pa.types.is_null),
    Kind.FLOAT: (pa.types.is_floating, pa.types.is_integer, pa.types.is_null),
    Kind.STR: (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    Kind.DATETIME: (lambda arrow: pa.types.is_timestamp(arrow) and arrow.tz is None,),
    Kind.DATETIME_UTC: (lambda arrow: pa.types.is_timestamp(arrow) and arrow.tz is not None,),
    Kind.BYTES: (pa.types.is_binary, pa.types.is_large_binary),
    Kind.DECIMAL: (pa.types.is_decimal,),
    Kind.DATE: (pa.types.is_date32,),
    Kind.TIMEDELTA: (pa.types.is_duration,),
}
