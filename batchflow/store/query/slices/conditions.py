"""The conditions that slices are made of, as SQL that can be read and executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from batchflow.errors import QueryError
from batchflow.store.query.parse_tree import parse_tree
from batchflow.store.schema.layout import literal, quote

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMERIC: Final = re.compile(
    r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)"
)
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_TYPED: Final[Mapping[str, str]] = {
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    "INTERVAL": "INTERVAL",
}
_TABLE: Final = "runs"
_BLOCK: Final = 1_024


@lru_cache(maxsize=1024)
def readable_name(name: str) -> str:
    """Return a column's name as SQL, in quotes only where it needs them."""
    return name if _PLAIN_NAME.fullmatch(name) and _is_column(name) else quote(name)


def _is_column(text: str) -> bool:
    """Return whether DuckDB takes a text for the name of a column, and not for a keyword."""
    try:
        [found] = parse_tree(f"SELECT {text} = 1")["node"]["select_list"]
    except QueryError:
        return False
    return bool(found.get("left", {}).get("column_names") == [text])


def member_of(column: str, member: str) -> str:
    """Return the expression of one member of a nested column."""
    if column.casefold() == _TABLE:
        # As "runs.name" it would be a column of the table.
        return f"struct_extract({quote(column)}, {literal(member)})"
    return f"{readable_name(column)}.{readable_name(member)}"


def is_numeric(sql_type: str) -> bool:
    """Return whether an SQL type is one of numbers."""
    return _NUMERIC.fullmatch(sql_type) is not None


def is_time(sql_type: str) -> bool:
    """Return whether an SQL type is one of moments or durations."""
    return sql_type in _TYPED


def has_nan(sql_type: str) -> bool:
    """Return whether a value of an SQL type can be NaN, which DuckDB orders after all numbers."""
    return sql_type in ("FLOAT", "DOUBLE")


def value_literal(text: str, sql_type: str) -> str:
    """Return a value that DuckDB printed as text as an SQL literal of its type."""
    if sql_type == "BOOLEAN" or (is_numeric(sql_type) and _NUMBER.fullmatch(text)):
        return text
    if is_time(sql_type):
        return f"{_TYPED[sql_type]} {literal(text)}"
    return f"{literal(text)}::{sql_type}" if is_numeric(sql_type) else literal(text)


def equal_to(subject: str, text: str, sql_type: str) -> str:
    """Return the condition that a value is one that DuckDB printed as text."""
    return f"{subject} = {value_literal(text, sql_type)}"


def within(
    subject: str, first: str | None, end: str | None, sql_type: str, *, without_nan: bool = False
) -> str:
    """Return the condition that a value is at least `first` and less than `end`."""
    parts = []
    if first is not None:
        parts.append(f"{subject} >= {value_literal(first, sql_type)}")
    if end is not None:
        parts.append(f"{subject} < {value_literal(end, sql_type)}")
    elif without_nan:
        parts.append(f"NOT isnan({subject})")
    return " AND ".join(parts) or f"{subject} IS NOT NULL"


def in_ranges(rows: str) -> str:
    """Return the condition that a run is in a range of `rows`, to be evaluated for many runs.

    A range is divided into the blocks of 1,024 seqs that it fills, and the seqs at its ends. DuckDB
    looks up both in hash tables, whereas an EXISTS compares each run with all ranges.
    """
    first_block, end = f"(first_seq + {_BLOCK - 1}) // {_BLOCK}", "last_seq + 1"
    ranges = f"(SELECT first_seq, last_seq {rows} AND first_seq IS NOT NULL) AS ranges"
    blocks = f"range({first_block}, ({end}) // {_BLOCK})"
    at_beginning = f"range(first_seq, least({end}, {first_block} * {_BLOCK}))"
    at_end = f"range(greatest(first_seq, ({end}) // {_BLOCK} * {_BLOCK}), {end})"
    return (
        f"(seq // {_BLOCK} IN (SELECT block FROM {ranges}, {blocks} AS blocks(block)) "
        f"OR seq IN (SELECT single FROM {ranges}, {at_beginning} AS singles(single) "
        f"UNION ALL SELECT single FROM {ranges}, {at_end} AS singles(single)))"
    )
