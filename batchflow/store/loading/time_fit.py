"""Convert dates, times and durations to a field's type; docs/loading.md lists the formats.

DuckDB reads more formats than it should: offsets of 99 hours, a fourth number after a colon, and
fractions of microseconds, which it cuts off.
"""

from __future__ import annotations

from typing import Final

from duckdb.sqltypes import DuckDBPyType

from batchflow.columns.times import LONGEST_MICROSECONDS
from batchflow.definition.fields import FieldType
from batchflow.store.loading.exact_cast import Fit, castable, no_match, round_trip, without_empty

_COARSE_TIMESTAMPS: Final = frozenset({"timestamp", "timestamp_s", "timestamp_ms"})
_TIMESTAMPS: Final = _COARSE_TIMESTAMPS | {"timestamp_ns"}

_FRACTION: Final = r"(\.\d{1,6}0*)?"
_DATE: Final = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_CLOCK: Final = rf"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d{_FRACTION})?"
_OFFSET: Final = r"(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)"
_DATE_TEXT: Final = rf"\s*{_DATE}([ T]00:00(:00(\.0+)?)?)?\s*"
_NAIVE_TEXT: Final = rf"\s*{_DATE}([ T]{_CLOCK})?\s*"
_UTC_TEXT: Final = rf"\s*{_DATE}([ T]{_CLOCK}\s*{_OFFSET}?)?\s*"

_DAYS: Final = r"[+-]?\d+ days?"
_HOURS: Final = rf"[+-]?\d+:[0-5]\d:[0-5]\d{_FRACTION}"
_UNITS: Final = r"(days?|hours?|minutes?|seconds?|milliseconds?|microseconds?)"
_WORDS: Final = rf"[+-]?\d+ {_UNITS}( [+-]?\d+ {_UNITS})*"
_ISO: Final = r"P([+-]?\d+W)?([+-]?\d+D)?(T([+-]?\d+H)?([+-]?\d+M)?([+-]?\d+(\.\d{1,6}0*)?S)?)?"
_DURATION_TEXT: Final = rf"\s*({_DAYS},? {_HOURS}|{_HOURS}|{_WORDS}|{_ISO})\s*"
_ISO_UNITS: Final = {
    "W": "weeks",
    "D": "days",
    "H": "hours",
    "M": "minutes",
    "S": "seconds",
}

_DAY_MICROSECONDS: Final = 86_400_000_000


def fit_date(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    """Return how a value becomes a date; None if that isn't possible."""
    if source.id == "date":
        return castable(value, field_type, _beyond(value))
    if source.id in _TIMESTAMPS:
        fitted = round_trip(source, field_type, value)
        return Fit(fitted.value, f"{fitted.misfit} OR {_beyond(value)}")
    if source.id == "varchar":
        return castable(without_empty(value), field_type, no_match(value, _DATE_TEXT))
    return None


def fit_naive(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    """Return how a value becomes a datetime without a time zone; None if that isn't possible."""
    return _point_in_time(source, field_type, value, _NAIVE_TEXT)


def fit_utc(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    """Return how a value becomes a datetime in UTC; None if that isn't possible."""
    if source.id == "timestamp with time zone":
        return castable(value, field_type, _beyond(value))
    if str(source) == "TIMESTAMPTZ_NS":
        return castable(value, field_type, f"epoch_ns({value}) % 1000 <> 0")
    # A source has UTC where it doesn't state a zone, as it has in text.
    return _point_in_time(source, field_type, value, _UTC_TEXT)


def fit_duration(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    """Return how a value becomes a duration; None if that isn't possible."""
    if source.id == "interval":
        return _interval(value, value, field_type)
    if source.id != "varchar":
        return None
    text = without_empty(value)
    fitted = _interval(_words_of(text), text, field_type)
    return Fit(fitted.value, f"{fitted.misfit} OR {no_match(text, _DURATION_TEXT)}")


def _interval(value: str, given: str, field_type: FieldType) -> Fit:
    # A month has no fixed length.
    interval = f"TRY_CAST({value} AS INTERVAL)"
    months = f"datepart('year', {interval}) <> 0 OR datepart('month', {interval}) <> 0"
    total = f"epoch_us({interval})"
    within_days = f"{total} - {_DAY_MICROSECONDS} * datepart('day', {interval})"
    beyond = " OR ".join(f"NOT {_is_readable(each)}" for each in (total, within_days))
    cast = f"TRY_CAST({value} AS {field_type.sql})"
    return Fit(cast, f"{given} IS NOT NULL AND ({cast} IS NULL OR {months} OR {beyond})")


def _words_of(text: str) -> str:
    """Return the SQL of a duration in words, as DuckDB reads them, if it is one of ISO 8601."""
    words = f"replace(replace({text}, 'P', ''), 'T', '')"
    for letter, unit in _ISO_UNITS.items():
        words = f"replace({words}, '{letter}', ' {unit} ')"
    plain = f"replace(replace({text}, ',', ''), '+', '')"
    return f"(CASE WHEN contains({text}, 'P') THEN {words} ELSE {plain} END)"


def _is_readable(microseconds: str) -> str:
    longest = LONGEST_MICROSECONDS
    return f"coalesce(TRY({microseconds}) BETWEEN -{longest} AND {longest}, false)"


def _beyond(value: str) -> str:
    """Return the condition that Python can't represent a date or time."""
    return f"{value} NOT BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999'"


def _point_in_time(
    source: DuckDBPyType, field_type: FieldType, value: str, pattern: str
) -> Fit | None:
    if source.id in _COARSE_TIMESTAMPS:
        return castable(value, field_type, _beyond(value))
    if source.id == "timestamp_ns":
        return round_trip(source, field_type, value)
    if source.id != "varchar":
        return None
    return castable(without_empty(value), field_type, no_match(value, pattern))
