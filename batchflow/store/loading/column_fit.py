"""Convert a source's column to a field's type without loss.

DuckDB's casts can lose something: they round ``'1.5'`` to an integer, drop the zone of a time, and
take the date of a timestamp. So the conversion between each pair of types is exact, or each value
is checked, or the pair is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from duckdb.sqltypes import DuckDBPyType

from batchflow.columns.times import LONGEST_MICROSECONDS
from batchflow.definition.fields import FieldType, Kind
from batchflow.store.schema.layout import literal, quote


@dataclass(frozen=True)
class Fit:
    """The SQL that converts a source's values to a field's type.

    Attributes:
        value: The converted value; NULL if it doesn't fit.
        misfit: A condition: true if a value that isn't NULL doesn't fit, else NULL or false. None
            if every value fits.
    """

    value: str
    misfit: str | None = None


Fitting = Callable[[DuckDBPyType, FieldType, str], Fit | None]

_SMALL_INTEGERS: Final = frozenset(
    {"tinyint", "smallint", "integer", "utinyint", "usmallint", "uinteger"}
)
_INTEGERS: Final = _SMALL_INTEGERS | {"bigint", "ubigint", "hugeint", "uhugeint"}
_FLOATS: Final = frozenset({"float", "double"})
_COARSE_TIMESTAMPS: Final = frozenset({"timestamp", "timestamp_s", "timestamp_ms"})
_TIMESTAMPS: Final = _COARSE_TIMESTAMPS | {"timestamp_ns"}
_TEXTS: Final = frozenset({"varchar", "enum"})

_INTEGER_TEXT: Final = r"\s*[+-]?\d+(\.0*)?\s*"
_TIME_TEXT: Final = r"\s*[+-]?\d+-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,6}0*)?)?"
_NAIVE_TEXT: Final = _TIME_TEXT + r")?\s*"
_UTC_TEXT: Final = _TIME_TEXT + r"\s*(Z|[+-]\d{2}(:?\d{2})?)?)?\s*"
_INFINITY_TEXT: Final = r"\s*[+-]?inf(inity)?\s*"

_DAY_MICROSECONDS: Final = 86_400_000_000


def fit(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    """Return how a value is converted to the field's type; None if that isn't possible.

    Args:
        source: The type of `value`.
        field_type: The field's type.
        value: An SQL expression.
    """
    if source.id == "null":
        return Fit(f"CAST(NULL AS {field_type.sql})")
    if field_type.kind.nested and str(source) in ("VARCHAR", "JSON"):
        return _from_text(field_type, value)
    return _FITTINGS[field_type.kind](source, field_type, value)


def unfit(source: DuckDBPyType, field_type: FieldType, value: str) -> tuple[str, str | None] | None:
    """Return the SQL of a converted value, and the condition that it doesn't fit, or None.

    The condition includes NULL where the field doesn't take None. The result is None if values of
    the source's type can't be converted.
    """
    fitting = fit(source, field_type, value)
    if fitting is None:
        return None
    conditions = [] if field_type.nullable else [f"{fitting.value} IS NULL"]
    if fitting.misfit is not None:
        conditions.append(f"({fitting.misfit})")
    return fitting.value, " OR ".join(conditions) or None


def text_type(field_type: FieldType) -> str:
    """Return the field's type in SQL with text in place of each scalar, as in text files."""
    children = [text_type(child) for _, child in field_type.children]
    if field_type.kind is Kind.LIST:
        return f"{children[0]}[]"
    if field_type.kind is Kind.MAP:
        return f"MAP(VARCHAR, {children[1]})"
    if field_type.kind is Kind.STRUCT:
        names = (quote(name) for name, _ in field_type.children)
        parts = (f"{name} {child}" for name, child in zip(names, children, strict=True))
        return f"STRUCT({', '.join(parts)})"
    return "VARCHAR"


def _exact(value: str, field_type: FieldType) -> Fit:
    return Fit(f"CAST({value} AS {field_type.sql})")


def _round_trip(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit:
    """Accept a value if it is the same after a cast to the field's type and back."""
    cast = f"TRY_CAST({value} AS {field_type.sql})"
    return Fit(cast, f"{value} IS DISTINCT FROM TRY_CAST({cast} AS {source})")


def _castable(value: str, field_type: FieldType, *also: str) -> Fit:
    """Accept a value if it can be cast, and none of the other conditions is true."""
    cast = f"TRY_CAST({value} AS {field_type.sql})"
    misfits = " OR ".join([f"{cast} IS NULL", *also])
    return Fit(cast, f"{value} IS NOT NULL AND ({misfits})")


def _without_empty(value: str) -> str:
    # A quoted empty cell of a CSV file is an empty text. Other fields read it as no value.
    return f"nullif({value}, '')"


def _no_match(value: str, pattern: str) -> str:
    return f"NOT regexp_full_match({value}, {literal(pattern)})"


def _integer(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id in _SMALL_INTEGERS or source.id == "bigint":
        return _exact(value, field_type)
    if source.id in _INTEGERS or source.id in _FLOATS or source.id == "decimal":
        return _round_trip(source, field_type, value)
    if source.id == "varchar":
        return _castable(_without_empty(value), field_type, _no_match(value, _INTEGER_TEXT))
    return None


def _float(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id in _FLOATS or source.id in _SMALL_INTEGERS:
        return _exact(value, field_type)
    if source.id in _INTEGERS or source.id == "decimal":
        return _round_trip(source, field_type, value)
    if source.id == "varchar":
        infinite = f"isinf(TRY_CAST({value} AS DOUBLE))"
        named = _no_match(f"lower({value})", _INFINITY_TEXT)
        return _castable(_without_empty(value), field_type, f"({infinite} AND {named})")
    return None


def _decimal(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id in _INTEGERS or source.id in _FLOATS or source.id == "decimal":
        if str(source) == field_type.sql.replace(", ", ","):
            return _exact(value, field_type)
        return _round_trip(source, field_type, value)
    if source.id == "varchar":
        # A cast would round further digits away.
        pattern = rf"\s*[+-]?\d*(\.\d{{0,{field_type.arrow.scale}}}0*)?\s*"
        return _castable(_without_empty(value), field_type, _no_match(value, pattern))
    return None


def _boolean(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id == "boolean":
        return _exact(value, field_type)
    if source.id in _INTEGERS:
        return _round_trip(source, field_type, value)
    return _castable(_without_empty(value), field_type) if source.id == "varchar" else None


def _text(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    kept = source.id in _TEXTS or source.id in _INTEGERS or source.id == "uuid"
    return _exact(value, field_type) if kept else None


def _bytes(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id == "varchar":
        return Fit(f"encode({value})")
    return _exact(value, field_type) if source.id == "blob" else None


def _date(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id == "date":
        return _exact(value, field_type)
    if source.id in _TIMESTAMPS:
        return _round_trip(source, field_type, value)
    if source.id == "varchar":
        midnight = f"CAST(TRY_CAST({value} AS DATE) AS TIMESTAMP)"
        cut = f"TRY_CAST({value} AS TIMESTAMP) IS DISTINCT FROM {midnight}"
        return _castable(_without_empty(value), field_type, _no_match(value, _NAIVE_TEXT), cut)
    return None


def _naive(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    return _point_in_time(source, field_type, value, _NAIVE_TEXT)


def _utc(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id == "timestamp with time zone":
        return _exact(value, field_type)
    return _point_in_time(source, field_type, value, _UTC_TEXT)


def _point_in_time(
    source: DuckDBPyType, field_type: FieldType, value: str, pattern: str
) -> Fit | None:
    if source.id in _COARSE_TIMESTAMPS or source.id == "date":
        return _castable(value, field_type)
    if source.id == "timestamp_ns":
        return _round_trip(source, field_type, value)
    if source.id == "varchar":
        return _castable(_without_empty(value), field_type, _no_match(value, pattern))
    return None


def _duration(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id not in ("interval", "varchar"):
        return None
    # A month has no fixed length.
    interval = f"TRY_CAST({value} AS INTERVAL)"
    months = f"datepart('year', {interval}) <> 0 OR datepart('month', {interval}) <> 0"
    total = f"epoch_us({interval})"
    within_days = f"{total} - {_DAY_MICROSECONDS} * datepart('day', {interval})"
    beyond = " OR ".join(f"NOT {_is_readable(each)}" for each in (total, within_days))
    return _castable(
        _without_empty(value) if source.id == "varchar" else value, field_type, months, beyond
    )


def _is_readable(microseconds: str) -> str:
    longest = LONGEST_MICROSECONDS
    return f"coalesce(TRY({microseconds}) BETWEEN -{longest} AND {longest}, false)"


def _uuid(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id == "uuid":
        return _exact(value, field_type)
    return _castable(_without_empty(value), field_type) if source.id == "varchar" else None


def _enum(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id not in _TEXTS:
        return None
    return _castable(f"CAST({value} AS VARCHAR)", field_type)


def _from_text(field_type: FieldType, value: str) -> Fit | None:
    """Parse text or JSON into the field's structure, with text for its scalars, and fit that."""
    shape = text_type(field_type)
    read = f"TRY_CAST({value} AS {shape})"
    inner = fit(DuckDBPyType(shape), field_type, read)
    if inner is None:
        return None
    misfits = [f"{read} IS NULL", *([inner.misfit] if inner.misfit else [])]
    return Fit(inner.value, f"{value} IS NOT NULL AND (({') OR ('.join(misfits)}))")


def _list(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id not in ("list", "array"):
        return None
    item = _variable(value)
    item_type = _child_types(source)[0]
    inner = unfit(item_type, field_type.child("item"), item)
    if inner is None:
        return None
    converted, misfit = inner
    items = f"CAST({value} AS {item_type}[])"
    transformed = f"list_transform({items}, lambda {item}: {converted})"
    return Fit(f"CAST({transformed} AS {field_type.sql})", misfit and _any(items, item, misfit))


def _map(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id != "map":
        return None
    key_type, value_type = _child_types(source)
    entry = _variable(value)
    keys = unfit(key_type, field_type.child("key"), f"{entry}.key")
    values = unfit(value_type, field_type.child("value"), f"{entry}.value")
    if keys is None or values is None:
        return None
    entries = f"map_entries({value})"
    pair = f"{{'key': {keys[0]}, 'value': {values[0]}}}"
    built = f"map_from_entries(list_transform({entries}, lambda {entry}: {pair}))"
    misfit = " OR ".join(condition for _, condition in (keys, values) if condition)
    kept = f"CASE WHEN {value} IS NOT NULL THEN CAST({built} AS {field_type.sql}) END"
    return Fit(kept, _any(entries, entry, misfit) if misfit else None)


def _struct(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id != "struct":
        return None
    parts: list[str] = []
    misfits: list[str] = []
    for name, child in field_type.children:
        inner = _member(source, child, value, name)
        if inner is None:
            return None
        parts.append(f"{quote(name)} := {inner[0]}")
        misfits.extend([inner[1]] if inner[1] else [])
    packed = f"CAST(struct_pack({', '.join(parts)}) AS {field_type.sql})"
    misfit = f"{value} IS NOT NULL AND ({' OR '.join(misfits)})" if misfits else None
    return Fit(f"CASE WHEN {value} IS NOT NULL THEN {packed} END", misfit)


def _member(
    source: DuckDBPyType, child: FieldType, value: str, name: str
) -> tuple[str, str | None] | None:
    names = [str(part) for part, _ in source.children]
    found = [at for at, part in enumerate(names) if part.lower() == name.lower()]
    if not found:
        return (f"CAST(NULL AS {child.sql})", None) if child.nullable else None
    at = found[0]
    return unfit(_child_types(source)[at], child, f"struct_extract({value}, {literal(names[at])})")


def _child_types(source: DuckDBPyType) -> list[DuckDBPyType]:
    # The children also include an array's size and an enum's names.
    return [child for _, child in source.children if isinstance(child, DuckDBPyType)]


def _any(items: str, item: str, condition: str) -> str:
    return f"len(list_filter({items}, lambda {item}: {condition})) > 0"


def _variable(value: str) -> str:
    """Return a name for a lambda's parameter that no enclosing lambda uses."""
    taken = [int(number) for number in re.findall(r"\bitem_(\d+)\b", value)]
    return f"item_{max(taken, default=0) + 1}"


_FITTINGS: Final[dict[Kind, Fitting]] = {
    Kind.BOOL: _boolean,
    Kind.INT: _integer,
    Kind.FLOAT: _float,
    Kind.DECIMAL: _decimal,
    Kind.STR: _text,
    Kind.BYTES: _bytes,
    Kind.DATE: _date,
    Kind.DATETIME: _naive,
    Kind.DATETIME_UTC: _utc,
    Kind.TIMEDELTA: _duration,
    Kind.UUID: _uuid,
    Kind.ENUM: _enum,
    Kind.STRUCT: _struct,
    Kind.LIST: _list,
    Kind.MAP: _map,
}
