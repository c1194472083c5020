"""The values of an object for a workflow's fields, whatever class the object is of.

A process that knows a workflow only by its description has classes of its own for the objects,
their nested dataclasses and their enums. An object of the user's class has the same names there.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any

from batchflow.columns.value_writing import MISSING, StructSnapshot
from batchflow.definition.field_type import FieldType, Kind
from batchflow.definition.fields import Field
from batchflow.operation.which_workflow import is_alike

ValueReader = Callable[[Any, Field], Any]
_Adapt = Callable[[Any, FieldType], Any]


def reader_for(found: type, expected: type) -> ValueReader | None:
    """Return the function that reads a field's value from objects of a class, or None.

    Args:
        found: The class: `expected` or a subclass, a dataclass with the same name and fields, or
            a mapping of the fields' values by name. A mapping may leave out fields that have a
            default; in it, a member of an enum may be given by its name, and a nested dataclass
            by a mapping.
        expected: The workflow's object type.
    """
    if issubclass(found, expected):
        return read_attribute
    if is_alike(found, expected):
        return _read_alike
    return _read_key if issubclass(found, Mapping) else None


def read_attribute(given: Any, field: Field) -> Any:
    """Return the value of an object of the workflow's own class."""
    return getattr(given, field.name, None)


def _read_alike(given: Any, field: Field) -> Any:
    return _adapted(getattr(given, field.name, None), field.type)


def _read_key(given: Mapping[str, Any], field: Field) -> Any:
    if field.name in given:
        return built(given[field.name], field.type)
    return MISSING if field.required else field.default_value()


def _adapted(value: Any, field_type: FieldType) -> Any:
    """Return a value with its enums and nested dataclasses as the field's type has them."""
    expected, found = field_type.python, type(value)
    if found is expected and not field_type.kind.nested:
        return value
    match field_type.kind:
        case Kind.ENUM if issubclass(found, enum.Enum) and found.__name__ == expected.__name__:
            return expected.__members__.get(value._name_, value)
        case Kind.STRUCT if found is not expected and is_alike(found, expected):
            parts = ((getattr(value, n, MISSING), child) for n, child in field_type.children)
            return StructSnapshot(_adapted(part, child) for part, child in parts)
        case Kind.LIST | Kind.MAP:
            return _within(value, field_type, _adapted)
        case _:
            return value


def built(value: Any, field_type: FieldType) -> Any:
    """Return a value of a mapping as the field's type has it."""
    match field_type.kind:
        case Kind.ENUM if isinstance(value, str) and not isinstance(value, enum.Enum):
            return field_type.python.__members__.get(value, value)
        case Kind.STRUCT if isinstance(value, Mapping):
            return _instance(value, field_type)
        case Kind.LIST | Kind.MAP:
            return _within(value, field_type, built)
        case _:
            return _adapted(value, field_type)


def _within(value: Any, field_type: FieldType, adapt: _Adapt) -> Any:
    if isinstance(value, list) and field_type.kind is Kind.LIST:
        item = field_type.child("item")
        return [adapt(each, item) for each in list.copy(value)]
    if isinstance(value, dict) and field_type.kind is Kind.MAP:
        item = field_type.child("value")
        return {key: adapt(each, item) for key, each in dict.copy(value).items()}
    return value


def _instance(given: Mapping[str, Any], field_type: FieldType) -> Any:
    types = dict(field_type.children)
    try:
        return field_type.python(**{key: built(given[key], types[key]) for key in given})
    except (KeyError, TypeError, ValueError):
        # The mapping is no such object. It stays as it is, and doesn't fit its field.
        return given
