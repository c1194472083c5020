"""Arrow tables as DuckDB sees them, and codes as the names that they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from batchflow.store.connection import Cursor

STAGED = "batchflow_staged"


@contextmanager
def staged(cursor: Cursor, table: pa.Table) -> Iterator[None]:
    """Let statements of this cursor read `table` as ``batchflow_staged``, without a copy."""
    cursor.register(STAGED, table)
    try:
        yield
    finally:
        cursor.unregister(STAGED)


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
