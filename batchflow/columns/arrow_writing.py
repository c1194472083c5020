"""Convert Arrow columns of a batch to their fields' types, column by column.

A nested column is taken apart: each part is checked and converted as a column of its own, and then
put together again. Only values of an unusual type become Python values, which are checked one by
one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.columns.numpy_writing import (
    TIME_UNITS,
    whole_numbers,
    with_nulls_found,
    write_times,
)
from batchflow.columns.value_reading import null_rows
from batchflow.columns.value_writing import (
    StructSnapshot,
    WrittenColumn,
    bounded,
    problems_of_parents,
    write_values,
)
from batchflow.definition.field_type import FieldType, Kind

_UUID_BYTES = 16


def write_arrow(column: pa.Array, field_type: FieldType) -> WrittenColumn:
    """Convert an Arrow column to ``field_type.arrow``; the result names the unfit values."""
    plain = _without_dictionary(column)
    convert = _CONVERTERS.get(field_type.kind, _cast)
    written = convert(plain, field_type)
    if written is None:
        return write_values(_python_values(column, field_type), field_type)
    return bounded(written, field_type)


def _without_dictionary(column: pa.Array) -> pa.Array:
    if not pa.types.is_dictionary(column.type):
        return column
    if pa.types.is_string_view(column.dictionary.type):
        # Polars uses string views, and Arrow can't decode a dictionary of those.
        texts = column.dictionary.cast(pa.string())
        column = pa.DictionaryArray.from_arrays(column.indices, texts)
    return column.dictionary_decode()


# Each converter returns None if a value of the column has to be looked at by itself.


def _cast(column: pa.Array, field_type: FieldType) -> WrittenColumn | None:
    if not _casts_safely(column.type, field_type):
        return None
    try:
        cast = column if column.type == field_type.arrow else column.cast(field_type.arrow)
    except (pa.ArrowException, ValueError):
        return None
    if field_type.kind in TIME_UNITS:
        return write_times(cast.to_numpy(zero_copy_only=False), field_type)
    return with_nulls_found(cast, field_type)


def _casts_safely(arrow: pa.DataType, field_type: FieldType) -> bool:
    """Return whether Arrow's cast between the two types refuses values that mustn't be coerced."""
    accepted = _SAFE_CASTS.get(field_type.kind)
    if accepted is None:
        return bool(arrow == field_type.arrow)
    return any(test(arrow) for test in accepted)


def _integers(column: pa.Array, field_type: FieldType) -> WrittenColumn | None:
    if pa.types.is_floating(column.type):
        return _whole_floats(column, field_type)
    if pa.types.is_decimal(column.type):
        return _whole_decimals(column, field_type)
    return _cast(column, field_type)


def _whole_floats(column: pa.Array, field_type: FieldType) -> WrittenColumn:
    # Arrow has nulls, so NaN isn't one.
    numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
    whole = whole_numbers(numbers, replace(field_type, nullable=False))
    array = pc.if_else(column.is_valid(), whole.array, pa.scalar(None, field_type.arrow))
    return with_nulls_found(array, field_type, whole.problems)


def _whole_decimals(column: pa.Array, field_type: FieldType) -> WrittenColumn:
    whole = pc.equal(pc.round(column), column).fill_null(True).to_numpy(zero_copy_only=False)
    pairs = zip(column.to_pylist(), whole.tolist(), strict=True)
    values = [int(value) if fits and value is not None else value for value, fits in pairs]
    return write_values(values, field_type)


def _floats(column: pa.Array, field_type: FieldType) -> WrittenColumn | None:
    if pa.types.is_decimal(column.type):
        return write_values([_as_float(value) for value in column.to_pylist()], field_type)
    return _cast(column, field_type)


def _as_float(value: Any) -> Any:
    """Return the float that has the same decimal digits, or else the decimal itself."""
    if value is None:
        return None
    number = float(value)
    return number if type(value)(repr(number)) == value else value


def _dates(column: pa.Array, field_type: FieldType) -> WrittenColumn | None:
    if _is_naive_time(column.type):
        return write_times(column.to_numpy(zero_copy_only=False), field_type)
    return _cast(column, field_type)


def _is_naive_time(arrow: pa.DataType) -> bool:
    return pa.types.is_timestamp(arrow) and arrow.tz is None


def _enums(column: pa.Array, field_type: FieldType) -> WrittenColumn | None:
    if not any(test(column.type) for test in _TEXTS):
        return None
    names = column.cast(field_type.arrow)
    members = pa.array([member.name for member in field_type.python], field_type.arrow)
    if not pc.all(pc.is_in(names.drop_null(), members), min_count=0).as_py():
        return None
    return with_nulls_found(names, field_type)


def _structs(column: pa.Array, field_type: FieldType) -> WrittenColumn | None:
    if not pa.types.is_struct(column.type) or not _has_fields(column.type, field_type):
        return None
    absent = null_rows(column) if column.null_count else None
    parts, problems = [], {}
    for name, child in field_type.children:
        part = pc.struct_field(column, name)
        # A null struct has null parts, even if the parts' types aren't nullable.
        written = write_arrow(part, child if absent is None else child.or_none())
        parts.append(written.array)
        bad = {**written.problems, **_nulls_within(part, child, absent)}
        problems.update({row: f"{found} as {name!r}" for row, found in bad.items()})
    mask = None if absent is None else pa.array(absent)
    array = pa.StructArray.from_arrays(parts, fields=list(field_type.arrow), mask=mask)
    return with_nulls_found(array, field_type, problems)


def _has_fields(arrow: pa.StructType, field_type: FieldType) -> bool:
    return sorted(each.name for each in arrow) == sorted(name for name, _ in field_type.children)


def _nulls_within(part: pa.Array, child: FieldType, absent: Any) -> dict[int, str]:
    if absent is None or child.nullable:
        return {}
    return dict.fromkeys(np.flatnonzero(null_rows(part) & ~absent).tolist(), "None")


def _lists(column: pa.Array, field_type: FieldType) -> WrittenColumn | None:
    if not any(test(column.type) for test in _LISTS):
        return None
    items = write_arrow(column.flatten(), field_type.child("item"))
    offsets = _offsets(pc.list_value_length(column))
    array = pa.ListArray.from_arrays(
        pa.array(offsets), items.array, type=field_type.arrow, mask=_mask(column)
    )
    problems = problems_of_parents(items.problems, offsets, "item")
    return with_nulls_found(array, field_type, problems)


def _maps(column: pa.Array, field_type: FieldType) -> WrittenColumn | None:
    if not pa.types.is_map(column.type):
        return None
    # Null maps may hide entries, which have to go.
    dense = column.drop_null() if column.null_count else column
    bounds = dense.offsets.to_numpy()
    entries = slice(bounds[0], bounds[-1])
    keys = write_arrow(dense.keys[entries], field_type.child("key"))
    items = write_arrow(dense.items[entries], field_type.child("value"))
    if keys.problems or _have_twice(keys.array, np.diff(bounds)):
        return None
    lengths = np.zeros(len(column), np.int64)
    lengths[~null_rows(column)] = np.diff(bounds)
    offsets = _offsets(pa.array(lengths))
    array = pa.MapArray.from_arrays(
        pa.array(offsets), keys.array, items.array, type=field_type.arrow, mask=_mask(column)
    )
    return with_nulls_found(
        array, field_type, problems_of_parents(items.problems, offsets, "value")
    )


def _have_twice(keys: pa.Array, lengths: Any) -> bool:
    """Return whether a map has a key twice; in Python's dicts, the last value counts."""
    codes = keys.dictionary_encode()
    owners = np.repeat(np.arange(len(lengths)), lengths)
    pairs = owners * len(codes.dictionary) + codes.indices.to_numpy()
    return len(np.unique(pairs)) < len(pairs)


def _offsets(lengths: pa.Array) -> np.ndarray[Any, np.dtype[np.int32]]:
    stops = np.cumsum(lengths.fill_null(0).to_numpy(), dtype=np.int64)
    return np.concatenate(([0], stops)).astype(np.int32)


def _mask(column: pa.Array) -> pa.Array | None:
    return pa.array(null_rows(column)) if column.null_count else None


def _python_values(column: pa.Array, field_type: FieldType) -> Sequence[Any]:
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
        case Kind.MAP if isinstance(value, list | dict):
            child = field_type.child("value")
            return {key: _from_arrow(item, child) for key, item in _pairs(value)}
    return value


def _pairs(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return value.items()
    # Polars represents maps as lists of structs.
    return (tuple(pair.values()) if isinstance(pair, dict) else pair for pair in value)


def _struct_from_arrow(value: dict[str, Any], field_type: FieldType) -> Any:
    parts = dict(field_type.children)
    if parts.keys() != value.keys():
        return value
    return StructSnapshot(_from_arrow(value[name], child) for name, child in parts.items())


_Test = Callable[[pa.DataType], bool]
_TEXTS: tuple[_Test, ...] = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
)
_LISTS: tuple[_Test, ...] = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
)
_SAFE_CASTS: dict[Kind, tuple[_Test, ...]] = {
    Kind.INT: (pa.types.is_integer, pa.types.is_null),
    Kind.FLOAT: (pa.types.is_floating, pa.types.is_integer, pa.types.is_null),
    Kind.STR: _TEXTS,
    Kind.DATETIME: (_is_naive_time,),
    Kind.DATETIME_UTC: (lambda arrow: pa.types.is_timestamp(arrow) and arrow.tz is not None,),
    Kind.BYTES: (pa.types.is_binary, pa.types.is_large_binary),
    Kind.DECIMAL: (pa.types.is_decimal,),
    Kind.DATE: (pa.types.is_date32,),
    Kind.TIMEDELTA: (pa.types.is_duration,),
}
_CONVERTERS: dict[Kind, Callable[[pa.Array, FieldType], WrittenColumn | None]] = {
    Kind.INT: _integers,
    Kind.FLOAT: _floats,
    Kind.DATE: _dates,
    Kind.ENUM: _enums,
    Kind.STRUCT: _structs,
    Kind.LIST: _lists,
    Kind.MAP: _maps,
}
