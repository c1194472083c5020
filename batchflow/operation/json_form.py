"""Dataclasses as JSON and back, guided by the types of their fields; nothing is pickled."""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from batchflow.errors import InvalidOptionError

ValueT = TypeVar("ValueT")

TRAVELS_APART: Final = {"travels_apart": True}
"""The metadata of a dataclass's field that has no JSON form and is sent as rows."""


def to_json(value: Any) -> Any:
    """Return a value that `json.dumps` takes.

    Raises:
        TypeError: A value has no JSON form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_json(getattr(value, name)) for name in _types_of(type(value))}
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(each) for each in value]
    if isinstance(value, enum.Enum):
        return value.name
    encode = _ENCODERS.get(type(value))
    if encode is None:
        raise TypeError(f"A {type(value).__name__} has no JSON form.")
    return encode(value)


def from_json(expected: Any, given: Any, **apart: Any) -> Any:
    """Return the value of a type from its JSON form.

    Args:
        expected: The type.
        given: The JSON.
        apart: Fields of a dataclass that aren't in the JSON.

    Raises:
        InvalidOptionError: A dataclass has no field of a given name, or lacks one.
        TypeError, ValueError: The JSON isn't that of such a value.
    """
    return _instance(expected, _typed(dict, given), **apart) if apart else _value(expected, given)


def _value(expected: Any, given: Any) -> Any:
    if get_origin(expected) in (Union, types.UnionType):
        return _member(get_args(expected), given)
    if get_origin(expected) is Literal or expected is Any:
        return given
    if get_origin(expected) is not None:
        return _container(get_origin(expected), get_args(expected), given)
    if dataclasses.is_dataclass(expected):
        return _instance(expected, _typed(dict, given))
    decode = _DECODERS.get(expected)
    return _typed(expected, given) if decode is None else decode(given)


def _container(origin: Any, of: tuple[Any, ...], given: Any) -> Any:
    if issubclass(origin, Mapping):
        return {key: _value(of[1], each) for key, each in _typed(dict, given).items()}
    return origin(_value(of[0], each) for each in _typed(list, given))


def _member(members: tuple[Any, ...], given: Any) -> Any:
    """Return the value of the first type of a union that fits."""
    if given is None and types.NoneType in members:
        return None
    for member in members:
        if member is types.NoneType:
            continue
        try:
            return _value(member, given)
        except (TypeError, ValueError):
            continue
    raise TypeError(f"A {type(given).__name__} is none of {', '.join(map(str, members))}.")


def _typed(expected: type[ValueT], given: Any) -> ValueT:
    if expected is float and isinstance(given, int):
        given = float(given)
    # A bool is an int to Python, and never meant as one.
    if not isinstance(given, expected) or (isinstance(given, bool) and expected is not bool):
        raise TypeError(f"A {type(given).__name__} was given; give a {expected.__name__}.")
    return given


def _instance(expected: Any, given: Mapping[str, Any], **apart: Any) -> Any:
    known = _types_of(expected)
    for name in given:
        if name not in known:
            raise InvalidOptionError(
                f"{expected.__name__} has no option {name!r}; its options are: {', '.join(known)}.",
                option=name,
            )
    values = {name: _value(known[name], each) for name, each in given.items()}
    try:
        return expected(**values, **apart)
    except TypeError as error:
        raise InvalidOptionError(f"{expected.__name__} can't be made: {error}.") from error


@cache
def _types_of(dataclass: type[Any]) -> Mapping[str, Any]:
    """Return the types of the fields that a dataclass sends, by name."""
    hints = get_type_hints(dataclass)
    return {
        field.name: hints[field.name]
        for field in dataclasses.fields(dataclass)
        if field.metadata != TRAVELS_APART
    }


_ENCODERS: Final[Mapping[type, Callable[[Any], Any]]] = {
    **{plain: lambda value: value for plain in (type(None), bool, int, float, str)},
    UUID: str,
    datetime: datetime.isoformat,
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
}
_DECODERS: Final[Mapping[type, Callable[[Any], Any]]] = {
    UUID: lambda given: UUID(_typed(str, given)),
    datetime: lambda given: datetime.fromisoformat(_typed(str, given)),
    timedelta: lambda given: timedelta(*_typed(list, given)),
}
