"""A model of the values that fit each field, and of how they are stored.

It knows types and ranges, and nothing of how columns are written.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from kit.colours import Colour

LONGEST = dt.timedelta(microseconds=(2**63 - 1) // 1000)
NO_NUMBERS = (bool, np.timedelta64)


@dataclass
class Part:
    sku: str
    number: int | None = None
    colour: Colour | None = None


class Unfit(Exception):
    pass


def is_a(value: Any, *types: type, but: tuple[type, ...] = ()) -> Any:
    """Return the value if its real class is one of these."""
    require(issubclass(type(value), types) and not issubclass(type(value), but))
    return value


def whole(value: Any) -> Any:
    number = int(is_a(value, int, np.integer, but=NO_NUMBERS))
    require(-(2**63) <= number < 2**63)
    return number


def price(value: Any) -> Any:
    number = float(is_a(value, float, int, np.floating, np.integer, but=NO_NUMBERS))
    require(issubclass(type(value), float | np.floating) or int(number) == value)
    return number


def amount(value: Any) -> Any:
    number = Decimal(is_a(value, int, Decimal, but=(bool,)))
    require(number.is_finite())
    scaled = number.scaleb(2)
    require(scaled == scaled.to_integral_value() and abs(scaled) < 10**9)
    return number


def name(value: Any) -> Any:
    text = str.__str__(is_a(value, str))
    require(not any("\ud800" <= character <= "\udfff" for character in text))
    return text


def raw(value: Any) -> Any:
    return bytes(is_a(value, bytes, bytearray, memoryview))


def day(value: Any) -> Any:
    return is_a(value, dt.date, but=(dt.datetime,))


def at(value: Any) -> Any:
    require(is_a(value, dt.datetime).tzinfo is None and value is not pd.NaT)
    require(not getattr(value, "nanosecond", 0))
    return dt.datetime.combine(value.date(), value.time())


def at_utc(value: Any) -> Any:
    require(is_a(value, dt.datetime) is not pd.NaT and not getattr(value, "nanosecond", 0))
    require(value.utcoffset() is not None)
    # It overflows if its year in UTC is out of range.
    return dt.datetime.combine(value.date(), value.time(), value.tzinfo).astimezone(dt.UTC)


def took(value: Any) -> Any:
    require(is_a(value, dt.timedelta) is not pd.NaT and not getattr(value, "nanoseconds", 0))
    require(abs(value) <= LONGEST)
    return dt.timedelta(value.days, value.seconds, value.microseconds)


def part(value: Any) -> Any:
    is_a(value, Part)
    missing = object()
    return Part(
        name(getattr(value, "sku", missing)),
        maybe(whole)(getattr(value, "number", missing)),
        maybe(colour)(getattr(value, "colour", missing)),
    )


def colour(value: Any) -> Any:
    require(type(value) is Colour)
    return value


def maybe(model: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if is_none(value) else model(value)


def is_none(value: Any) -> bool:
    """Return whether the value is None, or states that there is none, as pandas and NumPy do."""
    return value is None or value is pd.NA or value is pd.NaT or value is np.ma.masked


def listed(model: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: [model(one) for one in list.copy(is_a(value, list))]


def mapped(model: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: {
        name(key): model(one) for key, one in dict.copy(is_a(value, dict)).items()
    }


def require(true: bool) -> bool:
    if not true:
        raise Unfit
    return True


MODEL: dict[str, Callable[[Any], Any]] = {
    "whole": whole,
    "flag": lambda value: bool(is_a(value, bool, np.bool_)),
    "price": price,
    "amount": amount,
    "name": name,
    "raw": raw,
    "day": day,
    "at": at,
    "at_utc": at_utc,
    "took": took,
    "id": lambda value: is_a(value, uuid.UUID),
    "colour": colour,
    "part": part,
    "tags": listed(name),
    "parts": listed(part),
    "notes": mapped(whole),
    "deep": mapped(maybe(listed(maybe(part)))),
    "maybe_name": maybe(name),
    "maybe_whole": maybe(whole),
    "maybe_part": maybe(part),
}


def stored(field_name: str, value: Any) -> Any:
    """Return the stored value according to the model, or Unfit."""
    try:
        return MODEL[field_name](value)
    except Exception:
        # An object that can't be inspected fits no field.
        return Unfit
