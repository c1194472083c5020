"""The type of a field as JSON, and the type that JSON describes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

from batchflow.definition.field_type import SCALARS, UTC, FieldType, Kind, Precision

# The kinds whose type needs no more than its annotation.
_SCALARS: Final[dict[Kind, Any]] = {
    **{field_type.kind: python for python, field_type in SCALARS.items()},
    Kind.DATETIME_UTC: Annotated[dt.datetime, UTC],
}

# As a type checker doesn't follow the call that makes an enum of names known at run time only.
_ENUM: Final[Any] = enum.Enum


def describe_type(field_type: FieldType) -> dict[str, Any]:
    """Return a type as JSON."""
    nullable = {"nullable": True} if field_type.nullable else {}
    return {"kind": field_type.kind.name.lower(), **nullable, **_parts(field_type)}


def _parts(field_type: FieldType) -> dict[str, Any]:
    match field_type.kind:
        case Kind.DECIMAL:
            return {"digits": field_type.arrow.precision, "scale": field_type.arrow.scale}
        case Kind.ENUM:
            return describe_enum(field_type.python)
        case Kind.LIST:
            return {"item": describe_type(field_type.child("item"))}
        case Kind.MAP:
            return {"value": describe_type(field_type.child("value"))}
        case Kind.STRUCT:
            fields = [{"name": n, "type": describe_type(t)} for n, t in field_type.children]
            return {"name": field_type.python.__name__, "fields": fields}
        case kind if kind in _SCALARS:
            return {}
        case kind:
            raise NotImplementedError(f"A type of kind {kind.name} has no description.")


def describe_enum(members: type[enum.Enum]) -> dict[str, Any]:
    """Return the names of an enum's members, aliases left out, as JSON."""
    return {"name": members.__name__, "members": [member.name for member in members]}


class TypeRestorer:
    """Make Python types from descriptions; equal descriptions become the same class."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Any]] = {}

    def annotation(self, described: dict[str, Any]) -> Any:
        """Return the annotation of a dataclass's field with the described type."""
        plain = self._annotation(Kind[described["kind"].upper()], described)
        return plain | None if described.get("nullable") else plain

    def _annotation(self, kind: Kind, described: dict[str, Any]) -> Any:
        match kind:
            case Kind.DECIMAL:
                precision = Precision(described["digits"], described["scale"])
                return Annotated[decimal.Decimal, precision]
            case Kind.ENUM:
                return self.enum(described)
            case Kind.LIST:
                return list[self.annotation(described["item"])]  # type: ignore[misc]
            case Kind.MAP:
                return dict[str, self.annotation(described["value"])]  # type: ignore[misc]
            case Kind.STRUCT:
                return self._struct(described)
            case _:
                return _SCALARS[kind]

    def enum(self, described: dict[str, Any]) -> type[enum.Enum]:
        """Return an enum with the described members; the value of each is its name."""
        name, members = described["name"], described["members"]
        known = json.dumps([name, members])
        if known not in self._classes:
            self._classes[known] = _ENUM(name, [(each, each) for each in members])
        return self._classes[known]

    def _struct(self, described: dict[str, Any]) -> type[Any]:
        known = json.dumps(described)
        if known not in self._classes:
            fields = [(f["name"], self.annotation(f["type"])) for f in described["fields"]]
            self._classes[known] = make_class(described["name"], fields)
        return self._classes[known]


def make_class(name: str, fields: Sequence[tuple[Any, ...]]) -> type[Any]:
    """Return a dataclass with these fields; each is given by name alone, in any order."""
    # A default that is an object has to be hashable, or `dataclass` refuses it.
    return dataclasses.make_dataclass(name, fields, kw_only=True, unsafe_hash=True)
