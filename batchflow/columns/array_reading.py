"""Turn Arrow columns into the NumPy arrays that a batch step sees.

Which dtype a field has is decided by its type alone, never by the values of a chunk: a null among
them must not change how the other runs are computed. So bool, int and float fields that may be
None are object arrays, whether or not one is None; their speed is in `Batch.arrow`.
"""

from __future__ import annotations

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

_NATIVE = (Kind.BOOL, Kind.INT, Kind.FLOAT)
_OBJECTS_OF_ARROW = (Kind.STR, Kind.BYTES, Kind.DECIMAL)


def read_array(column: pa.Array, field_type: FieldType) -> AnyArray:
    """Return the column as a read-only array, one value a run.

    bool, int, float: their NumPy dtype, or objects where the field may be None. date, datetime,
    timedelta: ``datetime64[D]``, ``datetime64[us]``, ``timedelta64[us]``, None as NaT; points in
    time with a zone are in UTC. All else: objects, with None.
    """
    array = _array(column, field_type)
    array.flags.writeable = False
    return array


def _array(column: pa.Array, field_type: FieldType) -> AnyArray:
    kind = field_type.kind
    if kind in _NATIVE and not field_type.nullable:
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if kind in _OBJECTS_OF_ARROW:
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=object)
    if kind is Kind.ENUM:
        codes, members = enum_codes(column, field_type.python)
        return object_array(members)[codes]
    if kind in _TIMES:
        return _times(column, kind)
    return object_array(read_values(column, field_type))


def _times(column: pa.Array, kind: Kind) -> AnyArray:
    times: AnyArray = _TIMES[kind](column)
    if column.null_count:
        times = times.copy()
        times[null_rows(column)] = np.timedelta64("NaT") if kind is Kind.TIMEDELTA else _NAT
    return times


def _durations(column: pa.Array) -> AnyArray:
    return microseconds(column).view("timedelta64[us]")


_NAT = np.datetime64("NaT")
_TIMES: dict[Kind, Any] = {
    Kind.DATE: days,
    Kind.DATETIME: points_in_time,
    Kind.DATETIME_UTC: points_in_time,
    Kind.TIMEDELTA: _durations,
}
