"""Read Arrow columns as the NumPy arrays that a batch step receives.

The type of a field alone decides its dtype, never the values of a chunk: a null in one run must
not change how the other runs are computed. So bool, int and float fields that may be None are
object arrays, whether or not a value is None. `Batch.arrow` is fast for them too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from batchflow.columns.arrays import AnyArray, object_array
from batchflow.columns.value_reading import (
    days,
    enum_codes,
    microseconds,
    null_rows,
    points_in_time,
    read_values,
)
from batchflow.definition.field_type import FieldType, Kind


def read_array(column: pa.Array, field_type: FieldType) -> AnyArray:
    """Return the column as a read-only array with one value for each run.

    bool, int and float have their NumPy dtype, or are objects if the field may be None. date,
    datetime and timedelta are ``datetime64[D]``, ``datetime64[us]`` and ``timedelta64[us]``, with
    NaT for None. Datetimes with a time zone are in UTC. All other types are objects, with None.
    """
    array = _READERS[field_type.kind](column, field_type)
    array.flags.writeable = False
    return array


def _numbers(column: pa.Array, field_type: FieldType) -> AnyArray:
    if field_type.nullable:
        return _values(column, field_type)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _objects(column: pa.Array, _: FieldType) -> AnyArray:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=object)


def _enums(column: pa.Array, field_type: FieldType) -> AnyArray:
    codes, members = enum_codes(column, field_type.python)
    return object_array(members)[codes]


def _values(column: pa.Array, field_type: FieldType) -> AnyArray:
    return object_array(read_values(column, field_type))


def _dates(column: pa.Array, _: FieldType) -> AnyArray:
    return _with_nat(days(column), column, _NO_TIME)


def _datetimes(column: pa.Array, _: FieldType) -> AnyArray:
    return _with_nat(points_in_time(column), column, _NO_TIME)


def _timedeltas(column: pa.Array, _: FieldType) -> AnyArray:
    return _with_nat(microseconds(column).view("timedelta64[us]"), column, _NO_DURATION)


def _with_nat(times: AnyArray, column: pa.Array, nat: Any) -> AnyArray:
    if column.null_count:
        times = times.copy()
        times[null_rows(column)] = nat
    return times


_NO_TIME = np.datetime64("NaT")
_NO_DURATION = np.timedelta64("NaT")
_READERS: dict[Kind, Callable[[pa.Array, FieldType], AnyArray]] = {
    Kind.BOOL: _numbers,
    Kind.INT: _numbers,
    Kind.FLOAT: _numbers,
    Kind.DECIMAL: _objects,
    Kind.STR: _objects,
    Kind.BYTES: _objects,
    Kind.DATE: _dates,
    Kind.DATETIME: _datetimes,
    Kind.DATETIME_UTC: _datetimes,
    Kind.TIMEDELTA: _timedeltas,
    Kind.UUID: _values,
    Kind.ENUM: _enums,
    Kind.STRUCT: _values,
    Kind.LIST: _values,
    Kind.MAP: _values,
}
