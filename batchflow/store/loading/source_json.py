"""JSON files as a source: numbers are read as the text that is written in the file.

DuckDB reads a number with a fraction as a DOUBLE, which keeps about 15 digits and no zeros at the
end. So where that could matter, numbers are put into quotes first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from batchflow.definition.fields import Field, Kind
from batchflow.errors import SourceError
from batchflow.store.database.instance import Cursor
from batchflow.store.loading.column_match import refuse_twice
from batchflow.store.loading.json_text import LONG_NUMBER, with_quoted_numbers
from batchflow.store.schema.layout import literal, quote

_FRACTION: Final = r"^-?[0-9]+[.eE]"
_ROWS: Final = "read_json_objects({}, hive_partitioning = false)"


@dataclass(frozen=True)
class _Keys:
    """The keys of a file's records, by how their values are read.

    Attributes:
        texts: Those of text fields and of the foreign ids, where a number's spelling matters.
        scalars: Those of other fields with single values.
        nested: Those of fields with other values inside.
        others: All other keys.
    """

    texts: list[str]
    scalars: list[str]
    nested: list[str]
    others: list[str]


def json_table(
    cursor: Cursor, path: str, pattern: str, fields: Sequence[Field], foreign_id: str
) -> str:
    """Return the SQL of a file's rows: nested fields as JSON, all others as text.

    Args:
        cursor: A cursor of an instance that may read files.
        path: The file.
        pattern: A glob that matches only this file.
        fields: The workflow's fields.
        foreign_id: The column with the foreign ids.

    Raises:
        SourceError: A record isn't an object, or has a key twice.
    """
    rows = _ROWS.format(literal(pattern))
    keys = _sorted(_keys(cursor, path, rows), fields, foreign_id)
    exact = _structure(keys.texts, "JSON")
    check = _as_written("json", f"from_json(json, {exact})", keys.texts)
    query = f"SELECT coalesce(bool_or({check}), false) FROM {rows}"
    [(uncommon,)] = cursor.execute(query).fetchall()
    return _careful(rows, keys, exact) if uncommon else _plain(rows, keys)


def _keys(cursor: Cursor, path: str, rows: str) -> list[str]:
    names = "json_keys(json)"
    query = (
        f"SELECT flatten(list(DISTINCT {names})), coalesce(bool_or(json_type(json) <> 'OBJECT'), "
        f"false), coalesce(bool_or(len({names}) <> len(list_distinct({names}))), false) FROM {rows}"
    )
    [(found, other, twice)] = cursor.execute(query).fetchall()
    if other:
        raise SourceError(f"The file {path!r} has a record that isn't a JSON object.")
    if twice:
        raise SourceError(
            f"The file {path!r} has a record with a key that occurs twice. Rename one of the two."
        )
    keys = sorted(set(found or []))
    refuse_twice(path, keys)
    return keys


def _sorted(keys: list[str], fields: Sequence[Field], foreign_id: str) -> _Keys:
    kinds = {field.name.lower(): field.type.kind for field in fields}
    kinds[foreign_id.lower()] = Kind.STR
    sorted_keys = _Keys([], [], [], [])
    for key in keys:
        kind = kinds.get(key.lower())
        if kind is None:
            sorted_keys.others.append(key)
        elif kind is Kind.STR:
            sorted_keys.texts.append(key)
        else:
            (sorted_keys.nested if kind.nested else sorted_keys.scalars).append(key)
    return sorted_keys


def _plain(rows: str, keys: _Keys) -> str:
    shapes = {
        **dict.fromkeys((*keys.texts, *keys.scalars), "VARCHAR"),
        **dict.fromkeys(keys.nested, "JSON"),
    }
    read = f"from_json(json, {literal(json.dumps(shapes))})"
    columns = [*(_part("read", key) for key in shapes), *_ignored(keys)]
    return f"(SELECT {_listed(columns)} FROM (SELECT {read} AS read FROM {rows}))"


def _careful(rows: str, keys: _Keys, exact: str) -> str:
    """Return the SQL of rows in which numbers may have to be quoted."""
    quoted = (
        f"CASE WHEN {_as_written('json', 'given', keys.texts)} "
        f"THEN {with_quoted_numbers('json')} ELSE json END"
    )
    shapes = {
        **dict.fromkeys((*keys.texts, *keys.nested), "JSON"),
        **dict.fromkeys(keys.scalars, "VARCHAR"),
    }
    given = f"SELECT json, from_json(json, {exact}) AS given FROM {rows}"
    read = (
        f"SELECT json, given, from_json({quoted}, {literal(json.dumps(shapes))}) AS read "
        f"FROM ({given})"
    )
    columns = [
        *(_text(key) for key in keys.texts),
        *(_part("read", key) for key in (*keys.nested, *keys.scalars)),
        *_ignored(keys),
    ]
    return f"(SELECT {_listed(columns)} FROM ({read}))"


def _text(key: str) -> str:
    given, read = (f"struct_extract({each}, {literal(key)})" for each in ("given", "read"))
    long = f"regexp_matches({given}, '^[{{\\[]') AND regexp_matches(json, {literal(LONG_NUMBER)})"
    problem = (
        f"{key!r} is an object or a list for a text, in a record with a number of more than 15 "
        "digits, which may be changed; put it into quotes"
    )
    return (
        f"CASE WHEN {long} THEN error({literal(problem)}) "
        f"WHEN regexp_matches({given}, '^[{{\\[]') THEN CAST({given} AS VARCHAR) "
        f"ELSE {read} ->> '$' END AS {quote(key)}"
    )


def _as_written(record: str, given: str, texts: Sequence[str]) -> str:
    """Return the condition that a record has a number whose digits DuckDB might change."""
    parts = [f"regexp_matches({record}, {literal(LONG_NUMBER)})"]
    for key in texts:
        value = f"struct_extract({given}, {literal(key)})"
        parts.append(f"coalesce(regexp_matches({value}, {literal(_FRACTION)}), false)")
    return f"({' OR '.join(parts)})"


def _structure(keys: Sequence[str], shape: str) -> str:
    # A structure needs a key.
    return literal(json.dumps(dict.fromkeys(keys, shape) or {"": shape}))


def _part(struct: str, key: str) -> str:
    return f"struct_extract({struct}, {literal(key)}) AS {quote(key)}"


def _ignored(keys: _Keys) -> list[str]:
    return [f"NULL AS {quote(key)}" for key in keys.others]


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns) or "NULL AS empty"
