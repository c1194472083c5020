"""Which key of a mapping keeps it from being a dataclass of a field's type."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

from batchflow.closest_name import closest_hint
from batchflow.definition.field_type import FieldType, Kind

_SHOWN_CHARACTERS: Final = 60


def wrong_key(value: Any, field_type: FieldType, *, any_case: bool = False) -> str | None:
    """Return a phrase for the first key that is unknown or missing, also within other values.

    Args:
        value: Mappings, lists and other values.
        field_type: The type that it should have.
        any_case: Whether a key may be written in upper or lower case, as in SQL.

    Returns:
        Like ``with the unknown key 'stret' (did you mean 'street'?)``, or None if the keys are
        those of the type.
    """
    return next(_wrong_keys(value, field_type, any_case), None)


def _wrong_keys(value: Any, field_type: FieldType, any_case: bool) -> Iterator[str]:
    match field_type.kind:
        case Kind.STRUCT if isinstance(value, Mapping):
            given = {_spelled(key, field_type, any_case): part for key, part in value.items()}
            yield from _of_struct(given, field_type)
            for name, child in field_type.children:
                for found in _wrong_keys(given.get(name), child, any_case):
                    yield f"{found} in {name!r}"
        case Kind.LIST if isinstance(value, list):
            for item in value:
                for found in _wrong_keys(item, field_type.child("item"), any_case):
                    yield f"{found} in an item"
        case Kind.MAP if isinstance(value, Mapping):
            for item in value.values():
                for found in _wrong_keys(item, field_type.child("value"), any_case):
                    yield f"{found} in a value"
        case _:
            return


def _spelled(key: Any, field_type: FieldType, any_case: bool) -> Any:
    """Return a key as the dataclass has it."""
    if not any_case or not isinstance(key, str):
        return key
    return next((name for name, _ in field_type.children if name.lower() == key.lower()), key)


def _of_struct(given: Mapping[Any, Any], field_type: FieldType) -> Iterator[str]:
    names = [name for name, _ in field_type.children]
    for key in given:
        if type(key) is str and key not in names:
            missing = [name for name in names if name not in given]
            shown = key if len(key) <= _SHOWN_CHARACTERS else f"{key[:_SHOWN_CHARACTERS]}…"
            yield f"with the unknown key {shown!r}{closest_hint(key, missing)}"
    for each in dataclasses.fields(field_type.python):
        needed = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        if each.name in names and needed and each.name not in given:
            yield f"without the key {each.name!r}"
