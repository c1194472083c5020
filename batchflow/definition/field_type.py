"""The type of one column: in Python, in Arrow, and in the store."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from batchflow.errors import DefinitionError

UTC: Final = dt.UTC
"""Marks a datetime field with a time zone: ``Annotated[datetime, UTC]``; others are naive."""

MAX_DECIMAL_DIGITS: Final = 38


@dataclass(frozen=True)
class Precision:
    """The number of digits of a decimal field: ``Annotated[Decimal, Precision(18, 2)]``.

    Attributes:
        digits: The number of all digits, from 1 to 38.
        scale: The number of digits after the point, from 0 to `digits`. Default: 0.

    Raises:
        DefinitionError: A number is out of range.
    """

    digits: int
    scale: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.digits <= MAX_DECIMAL_DIGITS or not 0 <= self.scale <= self.digits:
            raise DefinitionError(
                f"Precision({self.digits}, {self.scale}) is out of range. Give 1 to "
                f"{MAX_DECIMAL_DIGITS} digits, and a scale from 0 to the number of digits."
            )


class Kind(enum.Enum):
    """The kind of values that a field has."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    DECIMAL = "Decimal"
    STR = "str"
    BYTES = "bytes"
    DATE = "date"
    DATETIME = "datetime"
    DATETIME_UTC = "datetime, UTC"
    TIMEDELTA = "timedelta"
    UUID = "UUID"
    ENUM = "Enum"
    STRUCT = "dataclass"
    LIST = "list"
    MAP = "dict"

    @property
    def nested(self) -> bool:
        """Return whether the values contain other values, and so can be changed in place."""
        return self in (Kind.STRUCT, Kind.LIST, Kind.MAP)


@dataclass(frozen=True)
class FieldType:
    """The type of a field in Python, in Arrow and in the store.

    Attributes:
        kind: The kind of values.
        nullable: Whether a value may be None.
        arrow: The Arrow type in which a chunk's column is written; enums are written as their
            members' names. The store sends other types for three kinds: ``dictionary<string>``
            for ENUM, ``month_day_nano_interval`` for TIMEDELTA, and the extension ``arrow.uuid``
            for UUID.
        sql: The type of the column in the store.
        python: The class of the values that aren't None; the user's class for ENUM and STRUCT.
        placeholder: A text that can be cast to `sql`, for a new column until it is filled.
        children: The fields of a STRUCT; ``("item", T)`` of a LIST; ``("key", K)`` and
            ``("value", V)`` of a MAP; empty for all other kinds.
    """

    kind: Kind
    nullable: bool
    arrow: pa.DataType
    sql: str
    python: type[Any]
    placeholder: str
    children: tuple[tuple[str, FieldType], ...] = ()

    def or_none(self) -> FieldType:
        """Return the same type with None allowed."""
        return dataclasses.replace(self, nullable=True)

    def child(self, name: str) -> FieldType:
        """Return the type of a part: a struct's field, or "item", "key" or "value"."""
        return dict(self.children)[name]

    def __str__(self) -> str:
        match self.kind:
            case Kind.ENUM | Kind.STRUCT:
                name = self.python.__qualname__
            case Kind.DECIMAL:
                name = f"Decimal({self.arrow.precision}, {self.arrow.scale})"
            case Kind.LIST:
                name = f"list[{self.child('item')}]"
            case Kind.MAP:
                name = f"dict[str, {self.child('value')}]"
            case _:
                name = self.kind.value
        return f"{name} | None" if self.nullable else name


def _scalar(
    kind: Kind, arrow: pa.DataType, sql: str, python: type[Any], placeholder: str
) -> FieldType:
    return FieldType(kind, False, arrow, sql, python, placeholder)


SCALARS: Final[dict[type[Any], FieldType]] = {
    scalar.python: scalar
    for scalar in (
        _scalar(Kind.BOOL, pa.bool_(), "BOOLEAN", bool, "false"),
        _scalar(Kind.INT, pa.int64(), "BIGINT", int, "0"),
        _scalar(Kind.FLOAT, pa.float64(), "DOUBLE", float, "0"),
        _scalar(Kind.STR, pa.string(), "VARCHAR", str, ""),
        _scalar(Kind.BYTES, pa.binary(), "BLOB", bytes, ""),
        _scalar(Kind.DATE, pa.date32(), "DATE", dt.date, "1970-01-01"),
        _scalar(Kind.DATETIME, pa.timestamp("us"), "TIMESTAMP", dt.datetime, "1970-01-01"),
        _scalar(Kind.TIMEDELTA, pa.duration("us"), "INTERVAL", dt.timedelta, "0 days"),
        _scalar(Kind.UUID, pa.uuid(), "UUID", uuid.UUID, str(uuid.UUID(int=0))),
    )
}
"""The types that are given by their class alone, by that class."""

UTC_DATETIME: Final = _scalar(
    Kind.DATETIME_UTC, pa.timestamp("us", "UTC"), "TIMESTAMPTZ", dt.datetime, "1970-01-01"
)


def decimal_type(precision: Precision) -> FieldType:
    """Return the type of decimals with this precision."""
    arrow = pa.decimal128(precision.digits, precision.scale)
    sql = f"DECIMAL({precision.digits}, {precision.scale})"
    return _scalar(Kind.DECIMAL, arrow, sql, decimal.Decimal, "0")


def enum_type(members: type[enum.Enum]) -> FieldType:
    """Return the type of an enum's members, which are stored by name."""
    names = [member.name for member in members]
    return _scalar(Kind.ENUM, pa.string(), enum_sql(names), members, names[0])


def list_type(item: FieldType) -> FieldType:
    """Return the type of lists of `item`."""
    children = (("item", item),)
    return FieldType(Kind.LIST, False, pa.list_(item.arrow), f"{item.sql}[]", list, "[]", children)


def map_type(key: FieldType, value: FieldType) -> FieldType:
    """Return the type of dicts from `key` to `value`."""
    children = (("key", key), ("value", value))
    sql = f"MAP({key.sql}, {value.sql})"
    return FieldType(Kind.MAP, False, pa.map_(key.arrow, value.arrow), sql, dict, "{}", children)


def struct_type(python: type[Any], children: tuple[tuple[str, FieldType], ...]) -> FieldType:
    """Return the type of a nested dataclass with these fields."""
    arrow = pa.struct([(name, child.arrow) for name, child in children])
    columns = ", ".join(f"{quoted(name)} {child.sql}" for name, child in children)
    return FieldType(Kind.STRUCT, False, arrow, f"STRUCT({columns})", python, "{}", children)


def quoted(name: str) -> str:
    """Return a name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def enum_sql(names: Any) -> str:
    """Return the SQL type of an enum with these members."""
    literals = ("'" + name.replace("'", "''") + "'" for name in names)
    return f"ENUM({', '.join(literals)})"
