"""Arrow tables in SQL statements, and codes as the SQL values that they represent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.store.database.instance import Cursor

STAGED = "batchflow_staged"
STAGE = "batchflow_stage"
_NOTHING = pa.table({"#seq": pa.array([], pa.int64())})


@contextmanager
def staged(cursor: Cursor, table: pa.Table) -> Iterator[None]:
    """Let statements of this cursor read `table` as ``batchflow_staged``, without a copy."""
    with registered(cursor, STAGED, table):
        yield


class Stage:
    """A table that statements of one cursor read as ``batchflow_stage``, and that may be replaced.

    It is registered once, because registering a table takes DuckDB as long as a statement for a
    hundred runs. Make it outside of a transaction: a rollback would undo that.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self._table = _NOTHING
        cursor.register(STAGE, self)

    @contextmanager
    def holding(self, table: pa.Table) -> Iterator[Cursor]:
        """Let statements of the cursor read `table`, without a copy."""
        self._table = table
        try:
            yield self.cursor
        finally:
            self._table = _NOTHING

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the table to DuckDB, each time that it executes a statement."""
        return self._table.__arrow_c_stream__(requested_schema)


@contextmanager
def registered(cursor: Cursor, name: str, arrow: Any) -> Iterator[None]:
    """Let statements of this cursor read an Arrow table or reader by a name."""
    cursor.register(name, arrow)
    try:
        yield
    finally:
        unregister(cursor, name)


class _LentTable:
    """An Arrow table that can be taken back from DuckDB, which reads it through this object."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_schema__(self) -> object:
        return self._table.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def take_back(self) -> None:
        """Release the rows."""
        self._table = self._table.schema.empty_table()


@contextmanager
def lent(cursor: Cursor, name: str, table: pa.Table) -> Iterator[None]:
    """Let statements read one of many tables of a transaction by a name, and release it afterwards.

    A transaction keeps each registered object until it ends, even if its name was unregistered. So
    a load would keep all of its rows in memory.
    """
    rows = _LentTable(table)
    try:
        with registered(cursor, name, rows):
            yield
    finally:
        rows.take_back()


def unregister(cursor: Cursor, name: str) -> None:
    """Remove a registered name if DuckDB allows it."""
    # An aborted transaction refuses this too, and the error would hide what aborted it. The
    # rollback, or the next registration of the name, removes it.
    with suppress(duckdb.Error):
        cursor.unregister(name)


def codes_in(table: pa.Table, column: str) -> tuple[int, ...]:
    """Return the distinct values of a column of codes, sorted."""
    return tuple(sorted(pc.unique(table[column]).to_pylist()))


def named(column: str, codes: tuple[int, ...], names: Mapping[int, str], sql_type: str) -> str:
    """Return the SQL that maps codes to members of an ENUM; a constant if only one code occurs.

    DuckDB casts a constant once. It would cast a CASE of plain texts row by row: four times as
    slow.
    """
    if len(codes) == 1:
        return names[codes[0]]
    cases = " ".join(f"WHEN {code} THEN {names[code]}::{sql_type}" for code in codes)
    return f"CASE {column} {cases} END"


def seq_range(table: pa.Table) -> tuple[int, int]:
    """Return the least and the greatest ``#seq``, with which DuckDB skips whole row groups."""
    bounds = pc.min_max(table["#seq"]).as_py()
    return bounds["min"], bounds["max"]
