"""Convert a source's column to a field's type without loss.

DuckDB's casts can lose something: they round ``'1.5'`` to an integer, drop the zone of a time, and
take the date of a timestamp. So the conversion between each pair of types is exact, or each value
is checked, or the pair is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from duckdb.sqltypes import DuckDBPyType

from batchflow.definition.fields import FieldType, Kind
from batchflow.store.loading.exact_cast import (
    Fit,
    Fitting,
    castable,
    child_types,
    computed_once,
    exact,
    no_match,
    number_castable,
    parts_of,
    round_trip,
    without_empty,
)
from batchflow.store.loading.json_text import with_quoted_numbers
from batchflow.store.loading.member_defaults import member_defaults
from batchflow.store.loading.time_fit import fit_date, fit_duration, fit_naive, fit_utc
from batchflow.store.schema.layout import literal, quote, type_name

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


def fit_required(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    """Return how a value is converted; NULL doesn't fit a field that doesn't take None.

    The result is None if values of the source's type can't be converted.
    """
    fitting = fit(source, field_type, value)
    if fitting is None or field_type.nullable:
        return fitting
    name = variable(value)
    found = parts_of(name) if fitting.both else fitting
    condition = f"{found.value} IS NULL" + (f" OR ({found.misfit})" if found.misfit else "")
    required = Fit(found.value, condition)
    return computed_once(fitting.both, name, required) if fitting.both else required


def _integer(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id in _SMALL_INTEGERS or source.id == "bigint":
        return exact(value, field_type)
    if source.id in _INTEGERS or source.id in _FLOATS or source.id == "decimal":
        return round_trip(source, field_type, value)
    if source.id == "varchar":
        return number_castable(value, field_type, _INTEGER_TEXT)
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
    if source.id in _FLOATS:
        # pandas writes a column without a value as floats.
        return Fit(f"CAST(NULL AS {field_type.sql})", f"{value} IS NOT NULL")
    if source.id in _INTEGERS or source.id == "decimal":
        if str(source) == type_name(field_type.sql):
            return exact(value, field_type)
        return round_trip(source, field_type, value)
    if source.id == "varchar":
        # A cast would round further digits away.
        pattern = rf"\s*[+-]?\d*(\.\d{{0,{field_type.arrow.scale}}}0*)?\s*"
        return number_castable(value, field_type, pattern)
    return None


def _boolean(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id == "boolean":
        return exact(value, field_type)
    if source.id == "tinyint":
        # The store sends truth values to Arrow in 8 bits, and Parquet keeps nothing else of them.
        return round_trip(source, field_type, value)
    return castable(without_empty(value), field_type) if source.id == "varchar" else None


def _text(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    return exact(value, field_type) if source.id in _TEXTS else None


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
    if source.id == "blob":
        # Polars has 16 bytes for a UUID.
        return castable(f"hex({value})", field_type)
    return castable(without_empty(value), field_type) if source.id == "varchar" else None


def _enum(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id not in _TEXTS:
        return None
    return castable(without_empty(f"CAST({value} AS VARCHAR)"), field_type)


def _from_text(field_type: FieldType, value: str) -> Fit | None:
    """Parse JSON, or DuckDB's own text of nested values, and fit that."""
    document = variable(value)
    as_json = _from_json(field_type, f"CAST({document} AS JSON)")
    as_text = _parsed(field_type, _deep_shape(field_type), document)
    if as_json is None or as_text is None:
        return None
    case = f"CASE WHEN json_valid({document}) THEN {as_json.pair} ELSE {as_text.pair} END"
    # DuckDB would change long numbers, and the spelling of those with a fraction.
    numbers = f"regexp_matches({value}, '[0-9][.eE]|[0-9]{{16}}') AND json_valid({value})"
    text = f"CASE WHEN {numbers} THEN {with_quoted_numbers(value)} ELSE {without_empty(value)} END"
    return computed_once(text, document, parts_of(case))


def _from_json(field_type: FieldType, value: str) -> Fit | None:
    """Fit a value of the type JSON."""
    if field_type.kind.nested:
        return _parsed(field_type, _shape(field_type, "JSON"), value)
    is_text = f"left(CAST({value} AS VARCHAR), 1) = '\"'"
    text = f"CASE WHEN {is_text} THEN {value} ->> '$' ELSE CAST({value} AS VARCHAR) END"
    item = variable(value)
    inner = fit(DuckDBPyType("VARCHAR"), field_type, item)
    if inner is None:
        return None
    if field_type.kind is not Kind.STR:
        return computed_once(f"({text})", item, inner)
    # Within a document, DuckDB doesn't keep how a number with a fraction, an object or a list is
    # written. It keeps the whole document. A truth value is no text.
    is_column = value.startswith('"')
    changed = r"^(-?[0-9]+[.eE]|[tf])" if is_column else r"^(-?[0-9]+[.eE]|[tf{\[])"
    return Fit(f"({text})", f"regexp_matches(CAST({value} AS VARCHAR), {literal(changed)})")


def _parsed(field_type: FieldType, shape: str, given: str) -> Fit | None:
    """Fit what is read of JSON, which is parsed one level deep, or of DuckDB's text."""
    in_json = "JSON" in shape
    read = _json_parts(field_type, given) if in_json else f"TRY(CAST({given} AS {shape}))"
    part = variable(given)
    inner = fit(DuckDBPyType(shape), field_type, part)
    if inner is None:
        return None
    name = variable(part)
    found = parts_of(name)
    # What can't be read is NULL.
    misfit = f"{found.misfit} OR ({given} IS NOT NULL AND {found.value} IS NULL)"
    if in_json and field_type.kind is Kind.STRUCT:
        misfit = f"{misfit} OR {_other_keys(field_type, given)}"
    fitted = computed_once(read, part, parts_of(inner.pair))
    return computed_once(fitted.pair, name, Fit(found.value, misfit))


def _json_parts(field_type: FieldType, value: str) -> str:
    """Return the SQL of the parts of a JSON value; NULL if it isn't of the field's kind."""
    if field_type.kind is Kind.MAP:
        return f"TRY_CAST({value} AS MAP(VARCHAR, JSON))"
    is_list = field_type.kind is Kind.LIST
    names = [name for name, _ in field_type.children]
    structure = json.dumps(["JSON"] if is_list else dict.fromkeys(names, "JSON"))
    expected = "ARRAY" if is_list else "OBJECT"
    read = f"from_json({value}, {literal(structure)})"
    if not is_list:
        read = _with_defaults(field_type, value, read)
    return f"CASE WHEN json_type({value}) = '{expected}' THEN {read} END"


def _with_defaults(field_type: FieldType, value: str, read: str) -> str:
    """Return the SQL of a JSON object's members, with the default of each whose key it lacks."""
    given = member_defaults(field_type)
    if not any(given.values()):
        return read
    item = variable(value)
    members = ", ".join(
        f"{quote(name)} := {_or_default(item, value, name, given.get(name))}"
        for name, _ in field_type.children
    )
    return f"list_extract(list_transform([{read}], lambda {item}: struct_pack({members})), 1)"


def _or_default(item: str, value: str, name: str, default: str | None) -> str:
    member = f"struct_extract({item}, {literal(name)})"
    if default is None:
        return member
    path = literal(f'$."{name}"')
    lacks = f"{member} IS NULL AND NOT json_exists({value}, {path})"
    return f"CASE WHEN {lacks} THEN {_json(default)} ELSE {member} END"


def _json(text: str) -> str:
    return f"CAST({literal(text)} AS JSON)"


def _other_keys(field_type: FieldType, value: str) -> str:
    """Return the condition that a JSON object has keys that are no fields, or lacks required ones.

    The keys are compared with all of the fields' first, because that is quick.
    """
    names = [name for name, _ in field_type.children]
    required = [name for name in names if name not in member_defaults(field_type)]
    keys = f"json_keys({value})"
    return (
        f"CASE WHEN {keys} = {_texts(names)} THEN false ELSE "
        f"NOT list_has_all({_texts(names)}, {keys}) OR "
        f"NOT list_has_all({keys}, {_texts(required)}) OR "
        f"list_unique({keys}) < len({keys}) END"
    )


def _texts(names: Sequence[str]) -> str:
    return f"CAST([{', '.join(map(literal, names))}] AS VARCHAR[])"


def _shape(field_type: FieldType, child: str) -> str:
    """Return the field's type in SQL with `child` in place of what it contains."""
    return _shape_of(field_type, dict.fromkeys(dict(field_type.children), child))


def _deep_shape(field_type: FieldType) -> str:
    """Return the field's type in SQL with text in place of all single values."""
    if not field_type.kind.nested:
        return "VARCHAR"
    return _shape_of(field_type, {name: _deep_shape(part) for name, part in field_type.children})


def _shape_of(field_type: FieldType, parts: Mapping[str, str]) -> str:
    if field_type.kind is Kind.LIST:
        return f"{parts['item']}[]"
    if field_type.kind is Kind.MAP:
        return f"MAP(VARCHAR, {parts['value']})"
    return f"STRUCT({', '.join(f'{quote(name)} {part}' for name, part in parts.items())})"


def _list(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id not in ("list", "array"):
        return None
    item = variable(value)
    item_type = child_types(source)[0]
    inner = fit_required(item_type, field_type.child("item"), item)
    if inner is None:
        return None
    items = f"CAST({value} AS {item_type}[])"
    if inner.misfit is None:
        transformed = f"list_transform({items}, lambda {item}: {inner.value})"
        return Fit(f"CAST({transformed} AS {field_type.sql})")
    pairs, pair = item, variable(item)
    found = parts_of(pair)
    fitted = f"CAST(list_transform({pairs}, lambda {pair}: {found.value}) AS {field_type.sql})"
    misfit = _any(pairs, pair, str(found.misfit))
    fitting = f"list_transform({items}, lambda {item}: {inner.pair})"
    return computed_once(fitting, pairs, Fit(fitted, misfit))


def _map(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    if source.id != "map":
        return None
    key_type, value_type = child_types(source)
    entry = variable(value)
    keys = fit_required(key_type, field_type.child("key"), f"{entry}.key")
    values = fit_required(value_type, field_type.child("value"), f"{entry}.value")
    if keys is None or values is None:
        return None
    both = f"{{'key': {keys.pair}, 'value': {values.pair}}}"
    entries = f"list_transform(map_entries({value}), lambda {entry}: {both})"
    fitted, fitted_entry = entry, variable(entry)
    key, found = (parts_of(f"{fitted_entry}.{part}") for part in ("key", "value"))
    pair = f"{{'key': {key.value}, 'value': {found.value}}}"
    built = f"map_from_entries(list_transform({fitted}, lambda {fitted_entry}: {pair}))"
    kept = f"CASE WHEN {fitted} IS NOT NULL THEN CAST({built} AS {field_type.sql}) END"
    misfit = _any(fitted, fitted_entry, f"{key.misfit} OR {found.misfit}")
    # A map that is NULL has no list of entries.
    given = f"CASE WHEN {value} IS NOT NULL THEN {entries} END"
    return computed_once(given, fitted, Fit(kept, misfit))


def _struct(source: DuckDBPyType, field_type: FieldType, value: str) -> Fit | None:
    names = {name.lower() for name, _ in field_type.children}
    if source.id != "struct" or not names >= {str(part).lower() for part, _ in source.children}:
        return None
    members: dict[str, Fit] = {}
    for name in dict(field_type.children):
        inner = _member(source, field_type, value, name)
        if inner is None:
            return None
        members[name] = inner
    if all(inner.misfit is None for inner in members.values()):
        packed = _packed(field_type, {name: inner.value for name, inner in members.items()})
        return Fit(f"CASE WHEN {value} IS NOT NULL THEN {packed} END")
    pairs = ", ".join(f"{quote(name)} := {inner.pair}" for name, inner in members.items())
    given = f"CASE WHEN {value} IS NOT NULL THEN struct_pack({pairs}) END"
    item = variable(value)
    found = {name: parts_of(f"struct_extract({item}, {literal(name)})") for name in members}
    packed = _packed(field_type, {name: inner.value for name, inner in found.items()})
    misfits = " OR ".join(f"{inner.misfit}" for inner in found.values())
    return computed_once(
        given, item, Fit(f"CASE WHEN {item} IS NOT NULL THEN {packed} END", misfits)
    )


def _packed(field_type: FieldType, values: Mapping[str, str]) -> str:
    parts = ", ".join(f"{quote(name)} := {value}" for name, value in values.items())
    return f"CAST(struct_pack({parts}) AS {field_type.sql})"


def _member(source: DuckDBPyType, field_type: FieldType, value: str, name: str) -> Fit | None:
    names = [str(part) for part, _ in source.children]
    found = [at for at, part in enumerate(names) if part.lower() == name.lower()]
    if not found:
        return _default_member(field_type, name)
    at = found[0]
    part = f"struct_extract({value}, {literal(names[at])})"
    return fit_required(child_types(source)[at], field_type.child(name), part)


def _default_member(field_type: FieldType, name: str) -> Fit | None:
    given = member_defaults(field_type)
    if name not in given:
        return None
    default = given[name]
    source = DuckDBPyType("NULL" if default is None else "JSON")
    return fit(source, field_type.child(name), "NULL" if default is None else _json(default))


def _any(items: str, item: str, condition: str) -> str:
    return f"len(list_filter({items}, lambda {item}: {condition})) > 0"


def variable(value: str) -> str:
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
