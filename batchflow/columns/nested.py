"""Compare and copy nested values by their field's type, to detect changes in place."""

from __future__ import annotations

import math
from typing import Any

from batchflow.columns.own_attributes import require_only_fields
from batchflow.columns.value_writing import MISSING, StructSnapshot
from batchflow.definition.field_type import FieldType, Kind


def same(value: Any, stored: Any, field_type: FieldType) -> bool:
    """Return whether `value` equals what is stored, field by field and without its ``__eq__``.

    Raises:
        InvalidObject: A dataclass has an attribute that isn't a field.
    """
    if value is None or stored is None:
        return value is stored
    match field_type.kind:
        case Kind.STRUCT:
            return _is_struct(value, field_type, stored) and all(
                same(getattr(value, name, MISSING), getattr(stored, name), child)
                for name, child in field_type.children
            )
        case Kind.LIST:
            return _same_lists(value, stored, field_type.child("item"))
        case Kind.MAP:
            return _same_maps(value, stored, field_type.child("value"))
    return type(value) is type(stored) and bool(value == stored or _are_nan(value, stored))


def _are_nan(value: Any, stored: Any) -> bool:
    return isinstance(value, float) and math.isnan(value) and math.isnan(stored)


def snapshot(value: Any, field_type: FieldType) -> Any:
    """Copy `value` as deep as its field's type goes; a value of another type isn't copied.

    Raises:
        InvalidObject: A dataclass has an attribute that isn't a field.
    """
    match field_type.kind:
        case Kind.STRUCT if _is_struct(value, field_type):
            return StructSnapshot(
                snapshot(getattr(value, name, MISSING), child)
                for name, child in field_type.children
            )
        case Kind.LIST if isinstance(value, list):
            return [snapshot(item, field_type.child("item")) for item in value]
        case Kind.MAP if isinstance(value, dict):
            child = field_type.child("value")
            return {key: snapshot(item, child) for key, item in value.items()}
    return value


def _is_struct(value: Any, field_type: FieldType, like: Any = None) -> bool:
    if not isinstance(value, field_type.python):
        return False
    # An object without other attributes has as many as there are fields, which is quick to check.
    if len(getattr(value, "__dict__", ())) > len(field_type.children):
        require_only_fields(value, [name for name, _ in field_type.children], like)
    return True


def _same_lists(value: Any, stored: list[Any], item: FieldType) -> bool:
    if not isinstance(value, list) or len(value) != len(stored):
        return False
    return all(same(left, right, item) for left, right in zip(value, stored, strict=True))


def _same_maps(value: Any, stored: dict[Any, Any], child: FieldType) -> bool:
    if not isinstance(value, dict) or list(value) != list(stored):
        return False
    return all(same(item, stored[key], child) for key, item in value.items())
