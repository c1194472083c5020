"""Values that callers bind to the parameters of SQL, as plain Python values and as JSON."""

from __future__ import annotations

import base64
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

import numpy as np

from batchflow.errors import InvalidOptionError

Params: TypeAlias = Sequence[Any] | Mapping[str, Any] | None


class MemberName(str):
    """The name of an enum's member, which was given as a parameter."""

    __slots__ = ()


def plain_params(params: Params) -> Params:
    """Return parameters with NumPy's scalars and members of enums as plain values.

    A member is the text by which the store has it: its name.

    Raises:
        InvalidOptionError: They are neither a sequence nor a mapping.
    """
    match params:
        case None:
            return None
        case Mapping():
            return {str(name): _plain(value) for name, value in params.items()}
        case str() | bytes():
            pass
        case Sequence() | np.ndarray():
            return [_plain(value) for value in params]
    raise InvalidOptionError(
        f"params is of type {type(params).__name__}; give a list for ?, or a dict for $name.",
        option="params",
    )


def has_members(params: Params) -> bool:
    """Return whether members of enums are among plain parameters."""
    values = params.values() if isinstance(params, Mapping) else params or ()
    return any(isinstance(value, MemberName) for value in values)


def _plain(value: Any) -> Any:
    match value:
        case enum.Enum():
            return MemberName(value.name)
        case np.ndarray() | list() | tuple():
            return [_plain(each) for each in value]
        case Mapping():
            return {name: _plain(each) for name, each in value.items()}
        case np.generic():
            return _of_numpy(value)
    # Missing values of pandas, which may not be installed.
    return None if type(value).__name__ in ("NaTType", "NAType") else value


def _of_numpy(value: Any) -> Any:
    if isinstance(value, np.datetime64 | np.timedelta64):
        # Python has no nanoseconds.
        return value.astype(f"{type(value).__name__}[us]").item()
    return value.item()


@dataclass(frozen=True)
class BoundValue:
    """One parameter of a request, with a JSON form.

    Attributes:
        name: Its name; None where it is bound by its position.
        kind: The kind of the value, which JSON doesn't know.
        form: The value as JSON.
    """

    name: str | None
    kind: str
    form: Any

    @property
    def value(self) -> Any:
        """The plain Python value."""
        return _value(self.kind, self.form)


def bound_values(params: Params) -> tuple[BoundValue, ...]:
    """Return parameters as values that a request can carry.

    Raises:
        InvalidOptionError: A value is of a type that can't be sent.
    """
    plain = plain_params(params)
    named = plain if isinstance(plain, Mapping) else None
    pairs = named.items() if named is not None else ((None, value) for value in plain or ())
    return tuple(BoundValue(name, *_form(value)) for name, value in pairs)


def params_of(values: Sequence[BoundValue]) -> Params:
    """Return the parameters that `bound_values` was given, as DuckDB takes them."""
    if not values:
        return None
    if values[0].name is None:
        return [each.value for each in values]
    return {str(each.name): each.value for each in values}


# The first class that fits decides, so datetime precedes date.
_KINDS: Final[Mapping[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]]] = {
    datetime: ("datetime", datetime.isoformat, datetime.fromisoformat),
    date: ("date", date.isoformat, date.fromisoformat),
    time: ("time", time.isoformat, time.fromisoformat),
    timedelta: (
        "timedelta",
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda form: timedelta(*form),
    ),
    Decimal: ("decimal", str, Decimal),
    UUID: ("uuid", str, UUID),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode(), base64.b64decode),
    list: (
        "list",
        lambda value: [list(_form(each)) for each in value],
        lambda form: [_value(*each) for each in form],
    ),
}
_PLAIN: Final = "plain"


def _form(value: Any) -> tuple[str, Any]:
    if value is None or isinstance(value, bool | int | float | str):
        return _PLAIN, value
    for kind, (name, encode, _) in _KINDS.items():
        if isinstance(value, kind):
            return name, encode(value)
    raise InvalidOptionError(
        f"A parameter is of type {type(value).__name__}; give a number, a text, a date or time, a "
        "duration, a UUID, bytes, a member of an enum, or a list of these.",
        option="params",
    )


def _value(kind: str, form: Any) -> Any:
    if kind == _PLAIN:
        return form
    decode = next((decode for name, _, decode in _KINDS.values() if name == kind), None)
    if decode is None:
        raise InvalidOptionError(f"There are no parameters of kind {kind!r}.", option="params")
    return decode(form)
