"""The range of times that a field can hold: what both Python and the store can represent.

NumPy wraps around silently where a unit is too fine for a time.
"""

from __future__ import annotations

import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_FIRST: Final = np.datetime64("0001-01-01T00:00:00.000000")
_LAST: Final = np.datetime64("9999-12-31T23:59:59.999999")
# The store returns intervals in nanoseconds, which reach 292 years.
LONGEST_MICROSECONDS: Final = (2**63 - 1) // 1000
_LONGEST: Final = np.timedelta64(LONGEST_MICROSECONDS, "us")
_ALWAYS_IN_RANGE: Final = ("ns", "ps", "fs", "as")


def in_range(times: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which ``datetime64`` or ``timedelta64`` values are in range; NaT is."""
    unit, _ = np.datetime_data(times.dtype)
    if unit in _ALWAYS_IN_RANGE:
        return np.ones(times.shape, np.bool_)
    missing = np.asarray(np.isnat(times))
    if unit == "generic":
        # A number without a unit is no time.
        return missing
    if times.dtype.kind == "m":
        longest = _LONGEST.astype(times.dtype)
        return np.asarray(missing | ((times >= -longest) & (times <= longest)))
    within = (times >= _FIRST.astype(times.dtype)) & (times <= _LAST.astype(times.dtype))
    return np.asarray(missing | within)


def has_times_without_zone(column: Any) -> bool:
    """Return whether a pandas column has ``datetime64``, in which batches have times and dates."""
    dtype = getattr(column, "dtype", None)
    return hasattr(column, "isna") and isinstance(dtype, np.dtype) and dtype.kind == "M"


def to_datetime(value: Any) -> datetime.datetime:
    """Return a datetime of any library as Python's.

    Raises:
        ValueError: The datetime is finer than a microsecond.
    """
    if isinstance(value, np.datetime64):
        value = _whole(value, "datetime64[us]")
    if getattr(value, "nanosecond", 0):
        raise ValueError
    plain = datetime.datetime.combine(value.date(), value.time(), value.tzinfo)
    return plain.replace(fold=value.fold)


def to_utc(value: Any) -> datetime.datetime:
    """Return a datetime with a time zone in UTC, and a naive one unchanged."""
    plain = to_datetime(value)
    return plain if plain.utcoffset() is None else plain.astimezone(datetime.UTC)


def has_odd_offset(value: datetime.datetime) -> bool:
    """Return whether the time zone has no offset, or one with µs, which Arrow ignores."""
    offset = value.utcoffset()
    return offset is None or bool(offset.microseconds)


def to_timedelta(value: Any) -> datetime.timedelta:
    """Return a timedelta of any library as Python's.

    Raises:
        ValueError: The timedelta is finer than a microsecond.
    """
    if isinstance(value, np.timedelta64):
        value = _whole(value, "timedelta64[us]")
    if getattr(value, "nanoseconds", 0):
        raise ValueError
    return datetime.timedelta(value.days, value.seconds, value.microseconds)


def _whole(value: Any, unit: str) -> Any:
    rounded = value.astype(unit)
    if rounded != value or not in_range(np.asarray(value)):
        raise ValueError
    return rounded.item()
