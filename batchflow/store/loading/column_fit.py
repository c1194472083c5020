"""Convert a source's column to a field's type without loss.

DuckDB's casts can lose something: they round ``'1.5'`` to an integer, drop the zone of a time, and
take the date of a timestamp. So the conversion between each pair of types is exact, or each value
is checked, or the pair is refused.
"""

from __future__ import annotations

import json
import re
from typing import Final

from duckdb.sqltypes import DuckDBPyType

from batchflow.definition.fields import FieldType, Kind
from batchflow.store.loading.exact_cast import (
    Fit,
    Fitting,
    castable,
    exact,
    no_match,
    round_trip,
    without_empty,
)
from batchflow.store.loading.json_text import with_quoted_numbers
from batchflow.store.loading.time_fit import fit_date, fit_duration, fit_naive, fit_utc
from batchflow.store.schema.layout import literal, quote

_SMALL_INTEGERS: Final = frozenset(
    {"tinyint", "smallint", "integer", "utinyint", "usmallint", "uinteger"}
)
_INTEGERS: Final = _SMALL_INTEGERS | {"bigint", "ubigint", "hugeint", "uhugeint"}
_FLOATS: Final = frozenset({"float", "double"})
_TEXTS: Final = frozenset({"varchar", "enum"})

_INTEGER_TEXT: Final = r"\s*[+-]?\d+(\.0*)?\s*"
_INFINITY_TEXT: Final = r"\s*[+-]?inf(inity)?\s*"


def fit(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    """Return how a value is converted to the field's type; None if that isn't possible.

    Args:
        source: The type of `value`.
        field_type: The field's type.
        value: An SQL expression.
    """
    if source.id == "null":
        return Fit(f"CAST(NULL AS {field_type.sql})")
    if str(source) == "JSON":
        return _from_json(field_type, value)
    if field_type.kind.nested and str(source) == "VARCHAR":
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


def _integer(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id in _SMALL_INTEGERS or source.id == "bigint":
        return exact(value, field_type)
    if source.id in _INTEGERS or source.id in _FLOATS or source.id == "decimal":
        return round_trip(source, field_type, value)
    if source.id == "varchar":
        return castable(without_empty(value), field_type, no_match(value, _INTEGER_TEXT))
    return None


def _float(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id in _FLOATS or source.id in _SMALL_INTEGERS:
        return exact(value, field_type)
    if source.id in _INTEGERS or source.id == "decimal":
        return round_trip(source, field_type, value)
    if source.id == "varchar":
        infinite = f"isinf(TRY_CAST({value} AS DOUBLE))"
        named = no_match(f"lower({value})", _INFINITY_TEXT)
        return castable(without_empty(value), field_type, f"({infinite} AND {named})")
    return None


def _decimal(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id in _INTEGERS or source.id in _FLOATS or source.id == "decimal":
        if str(source) == field_type.sql.replace(", ", ","):
            return exact(value, field_type)
        return round_trip(source, field_type, value)
    if source.id == "varchar":
        # A cast would round further digits away.
        pattern = rf"\s*[+-]?\d*(\.\d{{0,{field_type.arrow.scale}}}0*)?\s*"
        return castable(without_empty(value), field_type, no_match(value, pattern))
    return None


def _boolean(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id == "boolean":
        return exact(value, field_type)
    if source.id in _INTEGERS:
        return round_trip(source, field_type, value)
    return castable(without_empty(value), field_type) if source.id == "varchar" else None


def _text(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    kept = source.id in _TEXTS or source.id in _INTEGERS or source.id == "uuid"
    return exact(value, field_type) if kept else None


def _bytes(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id != "varchar":
        return exact(value, field_type) if source.id == "blob" else None
    # DuckDB's text of bytes, which exports contain: it escapes all that isn't printable ASCII, and
    # the backslash. So a backslash that is written begins an escape.
    escaped = f"replace(CAST(encode({value}) AS VARCHAR), '\\x5C', '\\')"
    cast = f"TRY_CAST({escaped} AS BLOB)"
    return Fit(cast, f"{value} IS NOT NULL AND {cast} IS NULL")


def _uuid(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id == "uuid":
        return exact(value, field_type)
    return castable(without_empty(value), field_type) if source.id == "varchar" else None


def _enum(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id not in _TEXTS:
        return None
    return castable(f"CAST({value} AS VARCHAR)", field_type)


def _from_text(field_type: FieldType, value: str) -> Fit | None:
    """Parse JSON, or DuckDB's own text of nested values, and fit that."""
    document = _variable(value)
    as_json = _from_json(field_type, f"CAST({document} AS JSON)")
    as_text = _parsed(field_type, document, f"TRY_CAST({document} AS {_shape(field_type)})")
    if as_json is None or as_text is None:
        return None
    is_json = f"json_valid({document})"
    both = Fit(
        f"CASE WHEN {is_json} THEN {as_json.value} ELSE {as_text.value} END",
        f"CASE WHEN {is_json} THEN {as_json.misfit} ELSE {as_text.misfit} END",
    )
    # DuckDB would change long numbers, and the spelling of those with a fraction.
    numbers = f"regexp_matches({value}, '[0-9][.eE]|[0-9]{{16}}') AND json_valid({value})"
    text = f"CASE WHEN {numbers} THEN {with_quoted_numbers(value)} ELSE {value} END"
    return _computed_once(text, document, both)


def _from_json(field_type: FieldType, value: str) -> Fit | None:
    """Fit a value of the type JSON."""
    if field_type.kind.nested:
        item = _variable(value)
        inner = _parsed(field_type, item, _json_parts(field_type, item))
        return None if inner is None else _computed_once(value, item, inner)
    is_text = f"left(CAST({value} AS VARCHAR), 1) = '\"'"
    text = f"CASE WHEN {is_text} THEN {value} ->> '$' ELSE CAST({value} AS VARCHAR) END"
    item = _variable(value)
    inner = fit(DuckDBPyType("VARCHAR"), field_type, item)
    if inner is None:
        return None
    fitted = _computed_once(f"({text})", item, Fit(inner.value, inner.misfit or "false"))
    if field_type.kind is not Kind.STR:
        return fitted
    # DuckDB doesn't keep how a number with a fraction is written.
    fraction = f"regexp_matches(CAST({value} AS VARCHAR), '^-?[0-9]+[.eE]')"
    return Fit(fitted.value, f"({fitted.misfit}) OR {fraction}")


def _parsed(field_type: FieldType, given: str, read: str) -> Fit | None:
    """Fit what is read of a text one level deep; deeper levels are still text, or JSON."""
    child = "JSON" if "JSON" in read else "VARCHAR"
    inner = fit(DuckDBPyType(_shape(field_type, child)), field_type, read)
    if inner is None:
        return None
    misfits = [f"{read} IS NULL", *([inner.misfit] if inner.misfit else [])]
    return Fit(inner.value, f"{given} IS NOT NULL AND (({') OR ('.join(misfits)}))")


def _json_parts(field_type: FieldType, value: str) -> str:
    """Return the SQL of the parts of a JSON value; NULL if it isn't of the field's kind."""
    if field_type.kind is Kind.MAP:
        return f"TRY_CAST({value} AS MAP(VARCHAR, JSON))"
    is_list = field_type.kind is Kind.LIST
    names = [name for name, _ in field_type.children]
    structure = json.dumps(["JSON"] if is_list else dict.fromkeys(names, "JSON"))
    expected = "ARRAY" if is_list else "OBJECT"
    return (
        f"CASE WHEN json_type({value}) = '{expected}' "
        f"THEN from_json({value}, {literal(structure)}) END"
    )


def _shape(field_type: FieldType, child: str = "VARCHAR") -> str:
    """Return the field's type in SQL with `child` in place of what it contains."""
    if field_type.kind is Kind.LIST:
        return f"{child}[]"
    if field_type.kind is Kind.MAP:
        return f"MAP(VARCHAR, {child})"
    return f"STRUCT({', '.join(f'{quote(name)} {child}' for name, _ in field_type.children)})"


def _computed_once(value: str, name: str, inner: Fit) -> Fit:
    """Return a fit of `value` that uses it as `name`, so that long SQL isn't repeated."""
    pair = f"{{'fitted': {inner.value}, 'misfit': {inner.misfit}}}"
    both = f"list_extract(list_transform([{value}], lambda {name}: {pair}), 1)"
    return Fit(f"struct_extract({both}, 'fitted')", f"struct_extract({both}, 'misfit')")


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
    Kind.DATE: fit_date,
    Kind.DATETIME: fit_naive,
    Kind.DATETIME_UTC: fit_utc,
    Kind.TIMEDELTA: fit_duration,
    Kind.UUID: _uuid,
    Kind.ENUM: _enum,
    Kind.STRUCT: _struct,
    Kind.LIST: _list,
    Kind.MAP: _map,
}
