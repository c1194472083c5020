"""The values with which pandas and NumPy state that there is no value."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from batchflow.columns.arrays import AnyArray
from batchflow.definition.field_type import FieldType, Kind

_TIMES: Final = (np.datetime64, np.timedelta64)
_OF_PANDAS: Final = frozenset({"NAType", "NaTType"})


def is_missing(value: Any) -> bool:
    """Return whether a value is pandas' NA or NaT, NumPy's NaT, or masked.

    None isn't one of them, and neither is NaN, which is a float.
    """
    # By its class, because an object may have any ``__eq__``, and pandas may not be installed.
    kind = type(value)
    if kind.__name__ in _OF_PANDAS:
        return kind.__module__.startswith("pandas.")
    return value is np.ma.masked or (kind in _TIMES and bool(np.isnat(value)))


def without_nan(column: AnyArray, field_type: FieldType) -> AnyArray:
    """Return a column of objects with None for each NaN, unless its field may have NaN itself.

    pandas fills the gaps of any column with NaN. For a field of another type than float this can
    only mean that there is no value.
    """
    if column.dtype != object or field_type.kind is Kind.FLOAT:
        return column
    if _FLOATS.isdisjoint(set(map(type, column.tolist()))):
        # As in most columns, which takes a fifth of the time of looking at each value.
        return column
    gaps = np.fromiter((_is_nan(value) for value in column), np.bool_, len(column))
    if gaps.any():
        column = column.copy()
        column[gaps] = None
    return column


def _is_nan(value: Any) -> bool:
    return type(value) in _FLOATS and math.isnan(value)


_FLOATS: Final = frozenset({float, np.float64, np.float32, np.float16})
