"""Arrow tables as DuckDB sees them, and codes as the names that they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.store.database.instance import Cursor

STAGED = "batchflow_staged"


@contextmanager
def staged(cursor: Cursor, table: pa.Table) -> Iterator[None]:
    """Let statements of this cursor read `table` as ``batchflow_staged``, without a copy."""
    with registered(cursor, STAGED, table):
        yield


@contextmanager
def registered(cursor: Cursor, name: str, arrow: Any) -> Iterator[None]:
    """Let statements of this cursor read an Arrow table or reader by a name."""
    cursor.register(name, arrow)
    try:
        yield
    finally:
        unregister(cursor, name)


def unregister(cursor: Cursor, name: str) -> None:
    """Let go of what was registered, as far as that can be done."""
    # A transaction that was aborted refuses this too, and so would hide what aborted it. Its
    # rollback, or the next to take the name, does the rest.
    with suppress(duckdb.Error):
        cursor.unregister(name)


def codes_in(table: pa.Table, column: str) -> tuple[int, ...]:
    """Return the different values of a column of codes, in their order."""
    return tuple(sorted(pc.unique(table[column]).to_pylist()))


def named(column: str, codes: tuple[int, ...], names: Mapping[int, str]) -> str:
    """Return the SQL that turns codes into SQL values; a plain one where only one code occurs."""
    if len(codes) == 1:
        return names[codes[0]]
    cases = " ".join(f"WHEN {code} THEN {names[code]}" for code in codes)
    return f"CASE {column} {cases} END"


def seq_range(table: pa.Table) -> tuple[int, int]:
    """Return the least and the greatest ``#seq``, by which DuckDB passes over whole row groups."""
    bounds = pc.min_max(table["#seq"]).as_py()
    return bounds["min"], bounds["max"]
