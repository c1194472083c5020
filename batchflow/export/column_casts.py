"""Casts of columns to types that a file format has; DuckDB executes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from batchflow.errors import QueryError

if TYPE_CHECKING:
    from batchflow.store.query.relation import Relation

# All programs write these alike in CSV; the others are written as DuckDB's text.
_WRITTEN_UNCHANGED: Final = {
    *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "VARCHAR"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE"),
}

_FREE_TEXT: Final = frozenset({"VARCHAR", "JSON", "BLOB"})
_FORMULA: Final = r"^(\s*[=+@\-\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|[\t\r\n])"
# Unicode has a picture of each control character. Tabs and line ends are kept.
_SYMBOLS: Final = {
    **{code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n\r"},
    127: "\u2421",
    155: "\u241b",
}
# No field has this name.
_LINE: Final = "#line"
HIVE_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
# Names in quotes may contain these words.
_NO_PARQUET_TYPE: Final = re.compile(
    r"""(?:ENUM\((?:'(?:[^']|'')*'(?:, )?)*\)|("(?:[^"]|"")*")|\bINTERVAL\b)"""
)


def refuse_duplicate_names(relation: Relation, form: str) -> None:
    """Raise QueryError if two columns have the same name, which the format can't have."""
    if relation.has_namesakes:
        raise QueryError(
            f"{form} can't have two columns with the same name: {', '.join(relation.columns)}. "
            "Give each its own name with AS."
        )


def cast_for_csv(relation: Relation) -> Relation:
    """Cast nested values to JSON, and statuses, times and other special types to text."""
    refuse_duplicate_names(relation, "CSV")
    return _cast_columns(relation, _csv_expression)


def cast_for_spreadsheet(relation: Relation) -> Relation:
    """Cast like `cast_for_csv`, with text that a spreadsheet can't take for a formula.

    Text that begins like one gets an apostrophe, and control characters become symbols.
    """
    refuse_duplicate_names(relation, "CSV")
    return _cast_columns(relation, _spreadsheet_expression)


def cast_for_parquet(relation: Relation) -> Relation:
    """Cast durations and nested statuses to text, because Parquet has no such types."""
    refuse_duplicate_names(relation, "Parquet")
    return _cast_columns(relation, _parquet_expression)


def json_lines(relation: Relation, *, beside: tuple[str, ...] = ()) -> Relation:
    """Return each row as the text of a JSON object in the last column, behind some columns."""
    from batchflow.store.query.json_value import json_object
    from batchflow.store.schema.layout import quote

    refuse_duplicate_names(relation, "JSON")
    types = dict(zip(relation.columns, relation.types, strict=True))
    written = {name: kind for name, kind in types.items() if name not in beside}
    line = json_object({name: quote(name) for name in written}, written.values())
    return relation.select(*map(quote, beside), f"{line} AS {quote(_LINE)}")


def as_text(name: str) -> str:
    """Return the SQL that casts a quoted column to text."""
    return f"{name}::VARCHAR"


def is_enum(kind: str) -> bool:
    """Return whether a type is an enum, as that of statuses is; a list of enums isn't."""
    return kind.startswith("ENUM") and not kind.endswith("]")


def enums_as_text(relation: Relation) -> Relation:
    """Cast statuses to text, because each workflow has its own type of them."""
    return _cast_columns(relation, lambda name, kind: as_text(name) if is_enum(kind) else name)


def folder_columns_as_text(relation: Relation, columns: tuple[str, ...]) -> Relation:
    """Cast the columns that name folders to text, as in CSV; what no folder states is an error."""
    from batchflow.store.schema.layout import quote

    quoted = {quote(column) for column in columns}
    return _cast_columns(
        relation,
        lambda name, kind: _folder_expression(name, kind) if name in quoted else name,
    )


def _folder_expression(name: str, kind: str) -> str:
    from batchflow.store.schema.layout import literal

    text = f"CAST({_csv_expression(name, kind)} AS VARCHAR)"
    # PyArrow cuts the names of folders off at a NUL.
    unnamed = f"contains({text}, chr(0)) OR {text} = '{HIVE_NULL}'"
    problem = f"column {name} has a text with a NUL, or Hive's name for no value, as no folder has"
    return f"CASE WHEN {unnamed} THEN error({literal(problem)}) ELSE {text} END"


def is_nested(kind: str) -> bool:
    """Return whether values of a type contain others."""
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))


def _csv_expression(name: str, kind: str) -> str:
    from batchflow.store.query.json_value import json_value

    if is_nested(kind) or kind.startswith("DECIMAL"):
        return json_value(kind, name)
    return name if kind in _WRITTEN_UNCHANGED else as_text(name)


def _spreadsheet_expression(name: str, kind: str) -> str:
    text = _csv_expression(name, kind)
    if kind not in _FREE_TEXT and not is_enum(kind):
        return text
    found = ", ".join(f"chr({code})" for code in _SYMBOLS)
    shown = f"translate({text}, concat({found}), '{''.join(_SYMBOLS.values())}')"
    return (
        f"CASE WHEN regexp_matches({text}, '{_FORMULA}') THEN chr(39) || {shown} ELSE {shown} END"
    )


def _parquet_expression(name: str, kind: str) -> str:
    if not is_nested(kind):
        return as_text(name) if kind == "INTERVAL" else name
    with_texts = _NO_PARQUET_TYPE.sub(lambda found: found[1] or "VARCHAR", kind)
    return name if with_texts == kind else f"CAST({name} AS {with_texts})"


def _cast_columns(relation: Relation, expression: Callable[[str, str], str]) -> Relation:
    from batchflow.store.schema.layout import quote

    names = [quote(name) for name in relation.columns]
    casts = [expression(name, kind) for name, kind in zip(names, relation.types, strict=True)]
    if casts == names:
        return relation
    return relation.select(*(f"{cast} AS {name}" for cast, name in zip(casts, names, strict=True)))
