"""Round ends of ranges: of the values that divide the same runs, the one that is read easily."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from batchflow.store.query.slices.conditions import is_numeric

_STEPS: Final = (Decimal(1), Decimal("0.5"), Decimal("0.2"))
_MOST_DIGITS: Final = 17
_MOMENTS: Final = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")
_PARTS: Final = (
    {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    {"day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    {"hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    {"minute": 0, "second": 0, "microsecond": 0},
    {"second": 0, "microsecond": 0},
    {"microsecond": 0},
)


def round_end(after: str, until: str, sql_type: str) -> str:
    """Return a short value that is more than `after` and at most `until`, as DuckDB reads it."""
    if is_numeric(sql_type):
        return _round_number(after, until)
    if sql_type in _MOMENTS:
        return _round_moment(after, until)
    return until


def _round_number(after: str, until: str) -> str:
    try:
        low, high = Decimal(after), Decimal(until)
        for exponent in range(high.adjusted() + 1, high.adjusted() - _MOST_DIGITS, -1):
            for step in _STEPS:
                size = step.scaleb(exponent)
                rounded = (high / size).to_integral_value("ROUND_FLOOR") * size
                # Two doubles may have the same decimal between them as their neighbour.
                if low < rounded <= high and float(low) < float(rounded) <= float(high):
                    return _plain(rounded)
    except (InvalidOperation, OverflowError, ValueError):
        pass
    return until


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def _round_moment(after: str, until: str) -> str:
    try:
        low, high = datetime.fromisoformat(after), datetime.fromisoformat(until)
    except ValueError:
        return until
    rounded = (high.replace(**part) for part in _PARTS)  # type: ignore[arg-type]
    found = next((each for each in rounded if low < each <= high), None)
    return until if found is None else _shown(found)


def _shown(moment: datetime) -> str:
    if moment.tzinfo is None and moment == moment.replace(hour=0, minute=0, second=0):
        return f"{moment:%Y-%m-%d}"
    return moment.isoformat(sep=" ")
