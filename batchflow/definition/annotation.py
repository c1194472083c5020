"""From what stands behind a field's colon to the type of its column."""

from __future__ import annotations

import builtins
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

SUPPORTED: Final = (
    "bool, int, float, Annotated[Decimal, Precision(digits, scale)], str, bytes, date, datetime, "
    "Annotated[datetime, UTC], timedelta, UUID, an Enum, X | None, a dataclass, list[X], "
    "dict[str, X]"
)

Markers = tuple[Any, ...]
Within = tuple[type[Any], ...]


def field_type_of(annotation: Any, within: Within = ()) -> FieldType:
    """Return the type of the column for a resolved annotation.

    Args:
        annotation: as `typing.get_type_hints` gives it with ``include_extras=True``.
        within: the dataclasses that it stands in, outermost first.

    Raises:
        DefinitionError: no column can hold it; the message reads on after the field's name.
    """
    return _resolve(annotation, (), within)


def _resolve(annotation: Any, markers: Markers, within: Within) -> FieldType:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        return _resolve(inner, (*markers, *more), within)
    if origin in (typing.Union, types.UnionType):
        return _optional(annotation, markers, within)
    _refuse_misplaced(annotation, markers)
    if origin is list:
        (item,) = typing.get_args(annotation)
        return list_type(_resolve(item, (), within))
    if origin is dict:
        return _map(annotation, within)
    if isinstance(annotation, type) and origin is None:
        return _class(annotation, markers, within)
    raise _unsupported(annotation)


def _optional(annotation: Any, markers: Markers, within: Within) -> FieldType:
    options = [one for one in typing.get_args(annotation) if one is not types.NoneType]
    if len(options) != 1:
        raise _unsupported(annotation)
    return _resolve(options[0], markers, within).or_none()


def _map(annotation: Any, within: Within) -> FieldType:
    key, value = typing.get_args(annotation)
    if key is not str:
        raise DefinitionError(
            f"has type {shown(annotation)}, whose keys are {shown(key)}; only str can be the keys"
        )
    return map_type(SCALARS[str], _resolve(value, (), within))


def _class(python: type[Any], markers: Markers, within: Within) -> FieldType:
    if python is decimal.Decimal:
        return _decimal(markers)
    if python is dt.datetime and _is_utc(markers):
        return UTC_DATETIME
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
            "has type Decimal without its digits; write Annotated[Decimal, Precision(18, 2)] "
            "for 18 digits, 2 of them after the point"
        )
    return decimal_type(given[0])


def _enum(members: type[enum.Enum]) -> FieldType:
    if issubclass(members, enum.Flag):
        raise DefinitionError(
            f"has type {shown(members)}, whose members can be combined; use an int or an Enum"
        )
    if not len(members):
        raise DefinitionError(f"has type {shown(members)}, an Enum without members; give it some")
    return enum_type(members)


def _struct(python: type[Any], within: Within) -> FieldType:
    if python in within:
        raise DefinitionError(
            f"has type {shown(python)}, which holds itself; a column has a fixed depth, so keep "
            "the inner one's key instead"
        )
    problems = list(init_problems(python))
    children = hints_of(python, problems, (*within, python))
    if not children and not problems:
        problems.append("it has no fields")
    if problems:
        raise DefinitionError(f"has type {shown(python)}, which can't be a column: {problems[0]}")
    return struct_type(python, tuple(children.items()))


def hints_of(python: type[Any], problems: list[str], within: Within) -> dict[str, FieldType]:
    """Return the types of a dataclass's fields by their names, and add what is wrong with them.

    Args:
        python: the dataclass.
        problems: gets one sentence for each field that can't be a column.
        within: the dataclasses that the fields stand in, `python` itself the last.
    """
    resolved: dict[str, FieldType] = {}
    for name, annotation in _annotations(python, problems).items():
        try:
            resolved[name] = field_type_of(annotation, within)
        except DefinitionError as error:
            problems.append(f"field {name!r} of {shown(python)} {error}")
    problems.extend(_equal_but_for_case(python, resolved))
    return resolved


def _annotations(python: type[Any], problems: list[str]) -> dict[str, Any]:
    try:
        hints = _hints(python)
    except NameError as error:
        problems.append(
            f"a field of {shown(python)} has a type named {error.name!r}, which isn't found; "
            "import it, or define it in the module itself rather than within a function"
        )
        return {}
    except (TypeError, SyntaxError) as error:
        problems.append(f"a field of {shown(python)} has a type that can't be read: {error}")
        return {}
    return {field.name: hints[field.name] for field in dataclasses.fields(python)}


def _hints(python: type[Any]) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for base in reversed(python.__mro__):
        own = type(base.__name__, (), {"__annotations__": inspect.get_annotations(base)})
        # Names of the module go before those of the class: a field may be called as its type is.
        hints |= typing.get_type_hints(own, dict(vars(base)), _namespace(base), include_extras=True)
    return hints


def _namespace(python: type[Any]) -> dict[str, Any]:
    """Return the names that the class was written among.

    Its methods know them. Another module of the same name may have taken its module's place in
    ``sys.modules``, or none may stand there.
    """
    methods = (vars(python).get(name) for name in ("__init__", "__eq__"))
    for method in methods:
        names: dict[str, Any] = getattr(method, "__globals__", {})
        if names.get("__name__") == python.__module__:
            return names
    return vars(sys.modules.get(python.__module__, builtins))


def _equal_but_for_case(python: type[Any], names: dict[str, FieldType]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(name.lower(), name)
        if first != name:
            yield (
                f"fields {first!r} and {name!r} of {shown(python)} are equal but for case, which "
                "SQL can't tell apart; rename one"
            )


def init_problems(python: type[Any]) -> Iterator[str]:
    """Say why an object of the dataclass can't be built from its fields alone, if it can't."""
    names = {field.name for field in dataclasses.fields(python)}
    for field in dataclasses.fields(python):
        if not field.init:
            yield (
                f"field {field.name!r} of {shown(python)} has init=False, so that it can't be "
                "given back its value; make it a property, or leave out init=False"
            )
            return
    parameters = inspect.signature(python).parameters.values()
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    takes = {one.name for one in parameters if one.kind not in variadic}
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    for name in sorted(takes - names):
        yield f"{shown(python)} takes {name!r}, which is no field; make it one, or leave it out"
    for name in sorted(names - takes if not takes_any else ()):
        yield f"{shown(python)} doesn't take its field {name!r}; let @dataclass write __init__"


def _refuse_misplaced(annotation: Any, markers: Markers) -> None:
    if any(isinstance(one, Precision) for one in markers) and annotation is not decimal.Decimal:
        raise DefinitionError(f"has type {shown(annotation)}, but a Precision, as Decimals have")
    if _is_utc(markers) and annotation is not dt.datetime:
        raise DefinitionError(f"has type {shown(annotation)}, but is marked UTC, as datetimes are")


def _is_utc(markers: Markers) -> bool:
    return any(marker is UTC for marker in markers)


def _unsupported(annotation: Any) -> DefinitionError:
    return DefinitionError(
        f"has type {shown(annotation)}, which can't be a column; supported are {SUPPORTED}"
    )


def shown(annotation: Any) -> str:
    """Return a type as its user would write it."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation.__qualname__.rpartition("<locals>.")[2]
    return str(annotation).replace("typing.", "")
