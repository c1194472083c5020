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
"""Marks a field of points in time: ``Annotated[datetime, UTC]``; a plain one is naive."""

MOST_DECIMAL_DIGITS: Final = 38


@dataclass(frozen=True)
class Precision:
    """Mark how many digits a decimal field has: ``Annotated[Decimal, Precision(18, 2)]``.

    Attributes:
        digits: all digits, from 1 to 38.
        scale: those after the point, from 0 to `digits`.

    Raises:
        DefinitionError: a number is out of its range.
    """

    digits: int
    scale: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.digits <= MOST_DECIMAL_DIGITS or not 0 <= self.scale <= self.digits:
            raise DefinitionError(
                f"Precision({self.digits}, {self.scale}) is out of range; give 1 to "
                f"{MOST_DECIMAL_DIGITS} digits, and no more of them after the point than there are"
            )


class Kind(enum.Enum):
    """Name what a field holds."""

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
        """Tell whether its values hold other values, and so can change in place."""
        return self in (Kind.STRUCT, Kind.LIST, Kind.MAP)


@dataclass(frozen=True)
class FieldType:
    """Say what a column holds, the same in Python, in Arrow and in the store.

    Attributes:
        kind: which of the supported types it is.
        nullable: whether None is a value of it.
        arrow: how a chunk's column is written; enums are written as their members' names. What
            the store sends differs for three kinds: ENUM comes as ``dictionary<string>``,
            TIMEDELTA as ``month_day_nano_interval``, and UUID as the extension ``arrow.uuid``.
        sql: the type of the column in the store.
        python: the class of its values that aren't None; the user's own for ENUM and STRUCT.
        placeholder: A text that can be cast to `sql`, for a new column until it is filled.
        children: of a STRUCT its fields; of a LIST ``("item", T)``; of a MAP ``("key", K)`` and
            ``("value", V)``; else empty.
    """

    kind: Kind
    nullable: bool
    arrow: pa.DataType
    sql: str
    python: type[Any]
    placeholder: str
    children: tuple[tuple[str, FieldType], ...] = ()

    def or_none(self) -> FieldType:
        """Return the same type with None among its values."""
        return dataclasses.replace(self, nullable=True)

    def child(self, name: str) -> FieldType:
        """Return the type of a part: of a struct's field, of "item", "key" or "value"."""
        return dict(self.children)[name]

    def __str__(self) -> str:
        name = self.kind.value
        if self.kind in (Kind.ENUM, Kind.STRUCT):
            name = self.python.__qualname__
        if self.kind is Kind.DECIMAL:
            name = f"Decimal({self.arrow.precision}, {self.arrow.scale})"
        if self.kind is Kind.LIST:
            name = f"list[{self.child('item')}]"
        if self.kind is Kind.MAP:
            name = f"dict[str, {self.child('value')}]"
        return f"{name} | None" if self.nullable else name


def _scalar(
    kind: Kind, arrow: pa.DataType, sql: str, python: type[Any], placeholder: str
) -> FieldType:
    return FieldType(kind, False, arrow, sql, python, placeholder)


SCALARS: Final[dict[object, FieldType]] = {
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
"""The types that need nothing but their class, by that class."""

UTC_DATETIME: Final = _scalar(
    Kind.DATETIME_UTC, pa.timestamp("us", "UTC"), "TIMESTAMPTZ", dt.datetime, "1970-01-01"
)


def decimal_type(precision: Precision) -> FieldType:
    """Return the type of decimals with so many digits."""
    arrow = pa.decimal128(precision.digits, precision.scale)
    sql = f"DECIMAL({precision.digits}, {precision.scale})"
    return _scalar(Kind.DECIMAL, arrow, sql, decimal.Decimal, "0")


def enum_type(members: type[enum.Enum]) -> FieldType:
    """Return the type of an enum's members, kept by their names."""
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
    """Return a name as it stands in SQL text."""
    return '"' + name.replace('"', '""') + '"'


def enum_sql(names: Any) -> str:
    """Return the SQL type of an enum with these members."""
    literals = ("'" + name.replace("'", "''") + "'" for name in names)
    return f"ENUM({', '.join(literals)})"
