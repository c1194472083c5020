"""Resolve the type annotation of a field to the type of its column."""

from __future__ import annotations

import builtins
import collections.abc
import dataclasses
import datetime as dt
import decimal
import enum
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any, Final

from batchflow.definition.field_type import (
    SCALARS,
    UTC,
    UTC_DATETIME,
    FieldType,
    Precision,
    decimal_type,
    enum_type,
    list_type,
    map_type,
    struct_type,
)
from batchflow.errors import DefinitionError

SUPPORTED: Final = ", ".join(
    (
        *(python.__name__ for python in SCALARS),
        "Annotated[Decimal, Precision(digits, scale)]",
        "Annotated[datetime, UTC]",
        "an Enum",
        "a dataclass",
        "list[X]",
        "dict[str, X]",
        "X | None",
    )
)
"""The supported types, as messages list them."""

_ALTERNATIVES: Final[tuple[tuple[tuple[Any, ...], str], ...]] = (
    (
        (set, frozenset, collections.abc.Set, collections.abc.MutableSet),
        "Use list[X], because a column has an order",
    ),
    ((tuple,), "Use list[X] for items of one type, or a dataclass for items of several types"),
    ((list,), "Name its items' type: list[X]"),
    ((dict,), "Name its items' type: dict[str, X]"),
    ((typing.Literal,), "Use an Enum with these values"),
    (
        (typing.Any, object),
        "Use a dataclass with a field for each part, or a str that contains JSON",
    ),
    (
        (typing.Union, types.UnionType),
        "Use one type, or a dataclass with an optional field for each",
    ),
)

Markers = tuple[Any, ...]
Within = tuple[type[Any], ...]


def field_type_of(annotation: Any, within: Within = ()) -> FieldType:
    """Return the type of the column for a resolved annotation.

    Args:
        annotation: An annotation as returned by `typing.get_type_hints` with
            ``include_extras=True``.
        within: The dataclasses that contain the field, outermost first.

    Raises:
        DefinitionError: The type isn't supported. The message continues the field's name.
    """
    return _resolve(annotation, (), within)


def _resolve(annotation: Any, markers: Markers, within: Within) -> FieldType:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        return _resolve(inner, (*markers, *more), within)
    if origin in (typing.Union, types.UnionType):
        return _optional(annotation, markers, within)
    _require_no_misplaced_marker(annotation, markers)
    if origin is list:
        (item,) = typing.get_args(annotation)
        return list_type(_resolve(item, (), within))
    if origin is dict:
        return _map(annotation, within)
    if isinstance(annotation, type) and origin is None:
        return _class(annotation, markers, within)
    raise _unsupported(annotation)


def _alternative(annotation: Any) -> str | None:
    """Return what to write instead of a type that can't be a column; None if nothing is close."""
    kind = typing.get_origin(annotation) or annotation
    return next((advice for kinds, advice in _ALTERNATIVES if kind in kinds), None)


def _optional(annotation: Any, markers: Markers, within: Within) -> FieldType:
    options = [option for option in typing.get_args(annotation) if option is not types.NoneType]
    if len(options) != 1:
        raise _unsupported(annotation)
    return _resolve(options[0], markers, within).or_none()


def _map(annotation: Any, within: Within) -> FieldType:
    key, value = typing.get_args(annotation)
    if key is not str:
        raise DefinitionError(
            f"has type {shown(annotation)}, whose keys are {shown(key)}. Use str for the keys."
        )
    return map_type(SCALARS[str], _resolve(value, (), within))


def _class(python: type[Any], markers: Markers, within: Within) -> FieldType:
    if python is decimal.Decimal:
        return _decimal(markers)
    if python is dt.datetime:
        _require_no_other_zone(markers)
        return UTC_DATETIME if _is_utc(markers) else SCALARS[python]
    if python in SCALARS:
        return SCALARS[python]
    if issubclass(python, enum.Enum):
        return _enum(python)
    if dataclasses.is_dataclass(python):
        return _struct(python, within)
    raise _unsupported(python)


def _decimal(markers: Markers) -> FieldType:
    given = [marker for marker in markers if isinstance(marker, Precision)]
    if len(given) != 1:
        raise DefinitionError(
            "has type Decimal without a precision. Write Annotated[Decimal, Precision(18, 2)] "
            "for 18 digits, 2 of them after the point."
        )
    return decimal_type(given[0])


def _enum(members: type[enum.Enum]) -> FieldType:
    if issubclass(members, enum.Flag):
        raise DefinitionError(
            f"has type {shown(members)}, whose members can be combined. Use an int or an Enum."
        )
    if not len(members):
        raise DefinitionError(
            f"has type {shown(members)}, an Enum without members. Add members to it."
        )
    return enum_type(members)


def _struct(python: type[Any], within: Within) -> FieldType:
    if python in within:
        raise DefinitionError(
            f"has type {shown(python)}, which contains itself. A column has a fixed depth, so "
            "store the inner object's key instead."
        )
    problems = list(init_problems(python))
    children = hints_of(python, problems, (*within, python))
    if not children and not problems:
        problems.append("It has no fields.")
    if problems:
        raise DefinitionError(f"has type {shown(python)}, which can't be a column. {problems[0]}")
    return struct_type(python, tuple(children.items()))


def hints_of(python: type[Any], problems: list[str], within: Within) -> dict[str, FieldType]:
    """Return the types of a dataclass's fields by name, and append what is wrong with them.

    Args:
        python: The dataclass.
        problems: A list to which a sentence is appended for each field that can't be a column.
        within: The dataclasses that contain the fields, outermost first, with `python` as the last.
    """
    resolved: dict[str, FieldType] = {}
    for name, annotation in _annotations(python, problems).items():
        try:
            resolved[name] = field_type_of(annotation, within)
        except DefinitionError as error:
            problems.append(f"Field {name!r} of {shown(python)} {error}")
    problems.extend(_differing_in_case_only(python, resolved))
    return resolved


def _annotations(python: type[Any], problems: list[str]) -> dict[str, Any]:
    try:
        hints = _hints(python)
    except NameError as error:
        problems.append(
            f"A field of {shown(python)} has a type named {error.name!r}, which isn't found. "
            "Import it, or define it in the module rather than in a function."
        )
        return {}
    except (TypeError, SyntaxError) as error:
        problems.append(f"A field of {shown(python)} has a type that can't be resolved: {error}.")
        return {}
    return {field.name: hints[field.name] for field in dataclasses.fields(python)}


def _hints(python: type[Any]) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for base in reversed(python.__mro__):
        own = type(base.__name__, (), {"__annotations__": inspect.get_annotations(base)})
        # Names of the module take precedence, because a field may have the name of its type.
        hints |= typing.get_type_hints(own, dict(vars(base)), _namespace(base), include_extras=True)
    return hints


def _namespace(python: type[Any]) -> dict[str, Any]:
    """Return the global names of the module that defines the class.

    The class's methods refer to them. ``sys.modules`` may have another module of the same name, or
    none.
    """
    methods = (vars(python).get(name) for name in ("__init__", "__eq__"))
    for method in methods:
        names: dict[str, Any] = getattr(method, "__globals__", {})
        if names.get("__name__") == python.__module__:
            return names
    return vars(sys.modules.get(python.__module__, builtins))


def _differing_in_case_only(python: type[Any], names: dict[str, FieldType]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(name.lower(), name)
        if first != name:
            yield (
                f"Fields {first!r} and {name!r} of {shown(python)} differ only in case, which SQL "
                "ignores. Rename one of them."
            )


def init_problems(python: type[Any]) -> Iterator[str]:
    """Yield why an object of the dataclass can't be created from its fields alone."""
    names = {field.name for field in dataclasses.fields(python)}
    for field in dataclasses.fields(python):
        if not field.init:
            yield (
                f"Field {field.name!r} of {shown(python)} has init=False, so its stored value "
                "can't be passed to __init__. Make it a property, or remove init=False."
            )
            return
    parameters = inspect.signature(python).parameters.values()
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    takes = {each.name for each in parameters if each.kind not in variadic}
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    for name in sorted(takes - names):
        yield f"{shown(python)} takes {name!r}, which is not a field. Make it one, or remove it."
    for name in sorted(names - takes if not takes_any else ()):
        yield f"{shown(python)} doesn't take its field {name!r}. Let @dataclass create __init__."


def _require_no_misplaced_marker(annotation: Any, markers: Markers) -> None:
    if (
        any(isinstance(marker, Precision) for marker in markers)
        and annotation is not decimal.Decimal
    ):
        raise DefinitionError(
            f"has type {shown(annotation)} with a Precision, which only Decimal can have."
        )
    if _is_utc(markers) and annotation is not dt.datetime:
        raise DefinitionError(
            f"has type {shown(annotation)} with UTC, which only datetime can have."
        )


def _require_no_other_zone(markers: Markers) -> None:
    """Raise an error for a zone that would be ignored, so that the field would be naive."""
    for marker in markers:
        if marker is not UTC and _is_zone(marker):
            raise DefinitionError(
                f"has type datetime with the zone {marker}. Write Annotated[datetime, bf.UTC]: "
                "points in time are stored in UTC, and may be assigned in any zone."
            )


def _is_zone(marker: Any) -> bool:
    return isinstance(marker, dt.tzinfo) or (isinstance(marker, str) and marker.upper() == "UTC")


def _is_utc(markers: Markers) -> bool:
    return any(marker is UTC for marker in markers)


def _unsupported(annotation: Any) -> DefinitionError:
    alternative = _alternative(annotation)
    advice = f" {alternative}." if alternative else ""
    return DefinitionError(
        f"has type {shown(annotation)}, which can't be a column.{advice} "
        f"The supported types are {SUPPORTED}."
    )


def shown(annotation: Any) -> str:
    """Return a type as it is written in Python."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation.__qualname__.rpartition("<locals>.")[2]
    return str(annotation).replace("typing.", "")
