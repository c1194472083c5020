"""The SQL that writes values as JSON without loss.

DuckDB's `to_json` passes decimals and 32-bit floats through a DOUBLE, and writes NaN and infinities
as words that JSON doesn't have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

import duckdb
from duckdb.sqltypes import DuckDBPyType

from batchflow.store.schema.layout import literal

# `to_json` keeps the values of all other types.
_CHANGED: Final = re.compile(r"\b(DECIMAL|FLOAT|DOUBLE|JSON)\b")
_FLOATS: Final = frozenset({"float", "double"})


def json_object(values: Mapping[str, str], types: Iterable[str]) -> str:
    """Return the SQL of a JSON object's text.

    Args:
        values: The SQL of the members' values by name.
        types: The SQL types of the values.
    """
    texts = map(json_value, types, values.values())
    return _object(dict(zip(values, texts, strict=True)))


def json_value(kind: str, value: str) -> str:
    """Return the SQL of the text of a value of an SQL type in JSON; NULL for NULL."""
    if _CHANGED.search(kind):
        try:
            return _exact(DuckDBPyType(kind), value, 0)
        except duckdb.Error:
            # The name of an extension's type can't be parsed.
            pass
    return _plain(value)


def _exact(kind: DuckDBPyType, value: str, depth: int) -> str:
    if not _CHANGED.search(str(kind)):
        return _plain(value)
    if str(kind) == "JSON":
        return f"CAST({value} AS VARCHAR)"
    if kind.id == "decimal":
        # DuckDB omits the zero before the point where all digits are after it; JSON doesn't.
        return f"regexp_replace(CAST({value} AS VARCHAR), '^(-?)[.]', '\\10.')"
    if kind.id in _FLOATS:
        return _float(value)
    return _nested(kind, value, depth)


def _nested(kind: DuckDBPyType, value: str, depth: int) -> str:
    item = f"each_{depth}"
    if kind.id in ("list", "array"):
        written = _or_null(_exact(_children(kind)[0], item, depth + 1))
        return _joined(value, value, item, written, "[]")
    if kind.id == "map":
        written = _or_null(_exact(_children(kind)[1], f"{item}.value", depth + 1))
        entry = f"{_plain(f'CAST({item}.key AS VARCHAR)')} || ':' || {written}"
        return _joined(value, f"map_entries({value})", item, entry, "{}")
    names = [str(name) for name, _ in kind.children] if kind.id == "struct" else []
    if not names or not all(names):
        return _plain(value)
    parts = (f"struct_extract({value}, {literal(name)})" for name in names)
    texts = (_exact(*pair, depth) for pair in zip(_children(kind), parts, strict=True))
    return _unless_null(value, _object(dict(zip(names, texts, strict=True))))


def _plain(value: str) -> str:
    return f"CAST(to_json({value}) AS VARCHAR)"


def _float(value: str) -> str:
    # As texts, like in the JSON of protocol buffers.
    text = f"CAST({value} AS VARCHAR)"
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    cases = " ".join(f"WHEN '{shown}' THEN '\"{name}\"'" for shown, name in names.items())
    return f"CASE {text} {cases} ELSE {text} END"


def _joined(value: str, items: str, item: str, written: str, brackets: str) -> str:
    texts = f"list_transform({items}, lambda {item}: {written})"
    first, last = brackets[0], brackets[1]
    return _unless_null(value, f"'{first}' || array_to_string({texts}, ',') || '{last}'")


def _object(texts: Mapping[str, str]) -> str:
    names = (f"{json.dumps(name, ensure_ascii=False)}:" for name in texts)
    before = (literal(("," if at else "{") + name) for at, name in enumerate(names))
    members = (
        f"{name}, {_or_null(text)}" for name, text in zip(before, texts.values(), strict=True)
    )
    return f"concat({', '.join(members)}, '}}')"


def _or_null(text: str) -> str:
    return f"coalesce({text}, 'null')"


def _unless_null(value: str, text: str) -> str:
    return f"CASE WHEN {value} IS NOT NULL THEN {text} END"


def _children(kind: DuckDBPyType) -> list[DuckDBPyType]:
    # The children also include an array's size.
    return [child for _, child in kind.children if isinstance(child, DuckDBPyType)]
