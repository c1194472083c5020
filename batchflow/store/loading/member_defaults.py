"""The defaults of a nested dataclass's fields, for values that lack some of its members."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from duckdb.sqltypes import DuckDBPyType

from batchflow.columns.value_writing import write_values
from batchflow.definition.field_type import FieldType, Kind
from batchflow.store.loading.exact_cast import child_types
from batchflow.store.loading.field_defaults import is_constant


def member_defaults(field_type: FieldType) -> dict[str, str | None]:
    """Return the defaults of a dataclass's fields as JSON that a load reads, by name.

    None stands for None. A field isn't among them if it has no default, one that doesn't fit it, or
    a factory whose values may differ: a load can't call it for each value.
    """
    return dict(_defaults(field_type))


def members_lacked(source: DuckDBPyType, field_type: FieldType, name: str) -> Iterator[str]:
    """Yield the members with defaults that a source's type lacks, behind the field's name."""
    match field_type.kind:
        case Kind.STRUCT if source.id == "struct":
            names = (str(part).lower() for part, _ in source.children)
            parts = dict(zip(names, child_types(source), strict=True))
            defaults = member_defaults(field_type)
            for member, child in field_type.children:
                if member.lower() in parts:
                    kind = parts[member.lower()]
                    yield from members_lacked(kind, child, f"{name}.{member}")
                elif member in defaults:
                    yield f"{name}.{member}"
        case Kind.LIST if source.id in ("list", "array"):
            yield from members_lacked(child_types(source)[0], field_type.child("item"), name)
        case Kind.MAP if source.id == "map":
            yield from members_lacked(child_types(source)[1], field_type.child("value"), name)
        case _:
            return


def _defaults(field_type: FieldType) -> Iterator[tuple[str, str | None]]:
    types = dict(field_type.children)
    for declared in dataclasses.fields(field_type.python):
        for value in _constant(declared):
            child = types[declared.name]
            if not write_values([value], child).problems:
                text = None if value is None else json.dumps(_in_json(value, child))
                yield declared.name, text


def _constant(declared: dataclasses.Field[Any]) -> Iterator[Any]:
    factory = declared.default_factory
    if declared.default is not dataclasses.MISSING:
        yield declared.default
    elif factory is not dataclasses.MISSING and (is_constant(factory) or _is_plain(factory)):
        yield factory()


def _is_plain(factory: Any) -> bool:
    """Return whether a factory is a dataclass whose instances are all created equal."""
    plain = isinstance(factory, type) and dataclasses.is_dataclass(factory)
    if not plain or hasattr(factory, "__post_init__") or not factory.__dataclass_params__.init:
        return False
    return all(any(True for _ in _constant(each)) for each in dataclasses.fields(factory))


def _in_json(value: Any, field_type: FieldType) -> Any:
    if value is None:
        return None
    match field_type.kind:
        case Kind.STRUCT:
            parts = field_type.children
            return {name: _in_json(getattr(value, name), child) for name, child in parts}
        case Kind.LIST:
            return [_in_json(item, field_type.child("item")) for item in value]
        case Kind.MAP:
            return {key: _in_json(item, field_type.child("value")) for key, item in value.items()}
        case kind:
            return _TEXTS.get(kind, _same)(value)


def _same(value: Any) -> Any:
    return value


def _float(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


_TEXTS: Final[dict[Kind, Callable[[Any], Any]]] = {
    Kind.FLOAT: _float,
    Kind.DECIMAL: str,
    Kind.BYTES: lambda value: "".join(f"\\x{byte:02X}" for byte in value),
    Kind.DATE: dt.date.isoformat,
    Kind.DATETIME: dt.datetime.isoformat,
    Kind.DATETIME_UTC: lambda value: value.astimezone(dt.UTC).isoformat(),
    Kind.TIMEDELTA: lambda value: f"{value // dt.timedelta(microseconds=1)} microseconds",
    Kind.UUID: str,
    Kind.ENUM: lambda value: value._name_,
}
