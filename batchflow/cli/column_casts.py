"""Columns as a file format can hold them; DuckDB turns them into that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from batchflow.errors import QueryError

if TYPE_CHECKING:
    from batchflow.store import Relation

# What CSV says of these is the same for everybody; all others are written as DuckDB says them.
_WRITTEN_UNCHANGED: Final = {
    *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "VARCHAR"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE"),
}


def refuse_duplicate_names(relation: Relation, form: str) -> None:
    """Raise QueryError where two columns have one name, which this form can't have."""
    if relation.has_namesakes:
        raise QueryError(
            f"{form} can't have two columns of one name: {', '.join(relation.columns)}; give each "
            "a name of its own with AS."
        )


def cast_for_csv(relation: Relation) -> Relation:
    """Turn statuses, moments and the like into text, and nested values into JSON."""
    refuse_duplicate_names(relation, "CSV")
    return _cast_columns(relation, _csv_expression)


def cast_for_parquet(relation: Relation) -> Relation:
    """Turn durations into text, as Parquet has none."""
    refuse_duplicate_names(relation, "Parquet")
    return _cast_columns(relation, lambda name, kind: as_text(name) if kind == "INTERVAL" else name)


def as_text(name: str) -> str:
    """Return the SQL of a quoted column's text."""
    return f"{name}::VARCHAR"


def is_enum(kind: str) -> bool:
    """Tell whether a type is that of statuses, and not of a list of them."""
    return kind.startswith("ENUM") and not kind.endswith("]")


def enums_as_text(relation: Relation) -> Relation:
    """Turn statuses into text, as those of two workflows are of two types."""
    return _cast_columns(relation, lambda name, kind: as_text(name) if is_enum(kind) else name)


def columns_as_text(relation: Relation, columns: tuple[str, ...]) -> Relation:
    """Turn the columns that are named into text."""
    from batchflow.store.schema.layout import quote

    quoted = {quote(column) for column in columns}
    return _cast_columns(relation, lambda name, _: as_text(name) if name in quoted else name)


def _csv_expression(name: str, kind: str) -> str:
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return f"to_json({name})::VARCHAR"
    return name if kind in _WRITTEN_UNCHANGED else as_text(name)


def _cast_columns(relation: Relation, turned: Callable[[str, str], str]) -> Relation:
    from batchflow.store.schema.layout import quote

    named = [quote(name) for name in relation.columns]
    turns = [turned(name, kind) for name, kind in zip(named, relation.types, strict=True)]
    if turns == named:
        return relation
    return relation.select(*(f"{turn} AS {name}" for turn, name in zip(turns, named, strict=True)))
