"""Columns as a file format can hold them; DuckDB turns them into that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from batchflow.errors import QueryError

if TYPE_CHECKING:
    from batchflow.store import Relation

# What CSV says of these is the same for everybody; all others are written as DuckDB says them.
_PLAIN: Final = {
    *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "VARCHAR"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE"),
}


def refuse_namesakes(relation: Relation, form: str) -> None:
    """Raise QueryError where two columns have one name, which this form can't have."""
    if relation.has_namesakes:
        raise QueryError(
            f"{form} can't have two columns of one name: {', '.join(relation.columns)}; give each "
            "a name of its own with AS."
        )


def for_csv(relation: Relation) -> Relation:
    """Turn statuses, moments and the like into text, and nested values into JSON."""
    refuse_namesakes(relation, "CSV")
    return _each(relation, _in_csv)


def for_parquet(relation: Relation) -> Relation:
    """Turn durations into text, as Parquet has none."""
    refuse_namesakes(relation, "Parquet")
    return _each(relation, lambda name, kind: as_text(name) if kind == "INTERVAL" else name)


def as_text(name: str) -> str:
    """Return the SQL of a quoted column's text."""
    return f"{name}::VARCHAR"


def is_enum(kind: str) -> bool:
    """Tell whether a type is that of statuses, and not of a list of them."""
    return kind.startswith("ENUM") and not kind.endswith("]")


def texts_of_enums(relation: Relation) -> Relation:
    """Turn statuses into text, as those of two workflows are of two types."""
    return _each(relation, lambda name, kind: as_text(name) if is_enum(kind) else name)


def texts_of(relation: Relation, columns: tuple[str, ...]) -> Relation:
    """Turn the columns that are named into text."""
    from batchflow.store.schema.layout import quote

    quoted = {quote(column) for column in columns}
    return _each(relation, lambda name, _: as_text(name) if name in quoted else name)


def _in_csv(name: str, kind: str) -> str:
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return f"to_json({name})::VARCHAR"
    return name if kind in _PLAIN else as_text(name)


def _each(relation: Relation, turned: Callable[[str, str], str]) -> Relation:
    from batchflow.store.schema.layout import quote

    named = [quote(name) for name in relation.columns]
    turns = [turned(name, kind) for name, kind in zip(named, relation.types, strict=True)]
    if turns == named:
        return relation
    return relation.select(*(f"{turn} AS {name}" for turn, name in zip(turns, named, strict=True)))
