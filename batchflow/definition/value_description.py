"""The default of a field as JSON, and the default that JSON describes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import math
import uuid
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from batchflow.definition.field_type import FieldType, Kind
from batchflow.definition.fields import Field
from batchflow.errors import DefinitionError

_FACTORIES: Final[dict[str, Callable[[], Any]]] = {
    factory.__name__: factory
    for factory in (bool, bytes, dict, float, frozenset, int, list, set, str, tuple)
}
_COMPUTED: Final = {"computed": True}
_MICROSECOND: Final = dt.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True)
class ComputedDefault:
    """The default of a restored field that only the workflow's code can compute."""

    field: str

    def __call__(self) -> Any:
        """Refuse, as the code is not here."""
        raise DefinitionError(
            f"The default of field {self.field!r} is computed by the workflow's code, which is "
            "not available here: give the field a value, or load through an engine."
        )


def describe_default(field: Field) -> dict[str, Any]:
    """Return the default of a field as JSON; empty if it has none."""
    if field.required:
        return {}
    if field.default_factory is None:
        return {"default": _described_value(field)}
    for name, factory in _FACTORIES.items():
        if factory is field.default_factory:
            return {"default": {"factory": name}}
    return {"default": _COMPUTED}


def restore_default(described: dict[str, Any], field_type: FieldType, name: str) -> Any:
    """Return what a dataclass declares for a field with this description."""
    if "default" not in described:
        return dataclasses.field()
    default = described["default"]
    if "value" in default:
        return dataclasses.field(default=_decode(default["value"], field_type))
    if "factory" in default:
        return dataclasses.field(default_factory=_FACTORIES[default["factory"]])
    return dataclasses.field(default_factory=ComputedDefault(name))


def _described_value(field: Field) -> dict[str, Any]:
    # A dataclass takes no list or dict as a default, except of classes that can be hashed.
    if field.type.kind in (Kind.LIST, Kind.MAP) and field.default is not None:
        return _COMPUTED
    try:
        return {"value": _encode(field.default, field.type)}
    except Exception:
        # Reading a user's object may raise anything, and then no column can hold the value.
        return _COMPUTED


def _encode(value: Any, field_type: FieldType) -> Any:
    if value is None:
        return None
    codec = _CODECS[field_type.kind]
    accepted = codec.accepts or (field_type.python,)
    if not isinstance(value, accepted) or isinstance(value, codec.refuses):
        raise TypeError(f"{type(value).__name__} is not {field_type}")
    return codec.encode(value, field_type)


def _decode(described: Any, field_type: FieldType) -> Any:
    return None if described is None else _CODECS[field_type.kind].decode(described, field_type)


def _encode_float(value: float, _: FieldType) -> float | str:
    if isinstance(value, int):
        return int(value)
    # JSON has no text for infinity and not-a-number.
    return float(value) if math.isfinite(value) else repr(float(value))


def _encode_struct(value: Any, field_type: FieldType) -> dict[str, Any]:
    return {name: _encode(getattr(value, name), child) for name, child in field_type.children}


def _decode_struct(described: dict[str, Any], field_type: FieldType) -> Any:
    parts = {name: _decode(described[name], child) for name, child in field_type.children}
    return field_type.python(**parts)


def _encode_list(value: list[Any], field_type: FieldType) -> list[Any]:
    return [_encode(item, field_type.child("item")) for item in value]


def _decode_list(described: list[Any], field_type: FieldType) -> list[Any]:
    return [_decode(item, field_type.child("item")) for item in described]


def _encode_map(value: dict[str, Any], field_type: FieldType) -> dict[str, Any]:
    return {str.__str__(k): _encode(v, field_type.child("value")) for k, v in value.items()}


def _decode_map(described: dict[str, Any], field_type: FieldType) -> dict[str, Any]:
    return {key: _decode(v, field_type.child("value")) for key, v in described.items()}


class _Codec(NamedTuple):
    """How values of one kind are written as JSON; both functions also get the field's type."""

    encode: Callable[[Any, FieldType], Any]
    decode: Callable[[Any, FieldType], Any]
    accepts: tuple[type[Any], ...] = ()
    refuses: tuple[type[Any], ...] = ()


_CODECS: Final[dict[Kind, _Codec]] = {
    Kind.BOOL: _Codec(lambda v, _: v, lambda d, _: d),
    Kind.INT: _Codec(lambda v, _: int(v), lambda d, _: d, refuses=(bool,)),
    Kind.FLOAT: _Codec(
        _encode_float,
        lambda d, _: float(d) if isinstance(d, str) else d,
        accepts=(float, int),
        refuses=(bool,),
    ),
    Kind.DECIMAL: _Codec(
        lambda v, _: str(v),
        lambda d, _: decimal.Decimal(d),
        accepts=(decimal.Decimal, int),
        refuses=(bool,),
    ),
    Kind.STR: _Codec(lambda v, _: str.__str__(v), lambda d, _: d),
    Kind.BYTES: _Codec(lambda v, _: v.hex(), lambda d, _: bytes.fromhex(d)),
    Kind.DATE: _Codec(
        lambda v, _: dt.date.isoformat(v),
        lambda d, _: dt.date.fromisoformat(d),
        refuses=(dt.datetime,),
    ),
    Kind.DATETIME: _Codec(
        lambda v, _: dt.datetime.isoformat(v), lambda d, _: dt.datetime.fromisoformat(d)
    ),
    Kind.DATETIME_UTC: _Codec(
        lambda v, _: dt.datetime.isoformat(v), lambda d, _: dt.datetime.fromisoformat(d)
    ),
    Kind.TIMEDELTA: _Codec(lambda v, _: v // _MICROSECOND, lambda d, _: d * _MICROSECOND),
    Kind.UUID: _Codec(lambda v, _: str(v), lambda d, _: uuid.UUID(d)),
    Kind.ENUM: _Codec(lambda v, _: v._name_, lambda d, t: t.python[d]),
    Kind.STRUCT: _Codec(_encode_struct, _decode_struct),
    Kind.LIST: _Codec(_encode_list, _decode_list),
    Kind.MAP: _Codec(_encode_map, _decode_map),
}
