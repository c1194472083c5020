"""The DuckDB that reads a load's files, because the store's own may not open files.

Its rows are read as Arrow tables of a bounded size. The next one is read while one is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa

from batchflow.store.database.instance import MEMORY, NO_EXTENSIONS, Cursor, in_utc
from batchflow.store.schema.layout import quote

# One thread of DuckDB takes a batch at a time, and writes it as one row group. With smaller
# batches, a load takes half as long again.
_BATCH_ROWS: Final = 122_880
_BATCH_BYTES: Final = 16 * 1024 * 1024
_BATCHES: Final = 4
# Rows are fetched in small parts, because their size isn't known before.
_FETCHED_ROWS: Final = 10_240
# These take 32 MB.
MOST_SORTED: Final = 4_000_000

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSITION: Final = "#position"
"""The column of a row's place among all rows, from 0."""


Reader: TypeAlias = Callable[[], AbstractContextManager[Cursor]]
"""Opens a cursor of a source instance."""


@contextmanager
def source_instance(store: Cursor) -> Iterator[Cursor]:
    """Open a DuckDB that may read files, with the memory limit of the store's."""
    settings = "SELECT current_setting('memory_limit'), current_setting('temp_directory')"
    [(memory_limit, temp_directory)] = store.execute(settings).fetchall()
    config: dict[str, str | bool | int | float | list[str]] = {
        **NO_EXTENSIONS,
        # PyArrow can't put the lossless types of booleans and UUIDs into other types.
        "arrow_lossless_conversion": "false",
        "memory_limit": memory_limit,
        "temp_directory": temp_directory,
        "python_enable_replacements": "false",
    }
    instance = duckdb.connect(MEMORY, config=config)
    try:
        in_utc(instance)
        yield instance
    finally:
        instance.close()


class OutsideRows:
    """Rows that SQL selects in a source instance.

    Args:
        cursor: A cursor of the source instance.
        table: The SQL that follows FROM.
        beside: Opens another cursor, for while this one is reading.
    """

    def __init__(self, cursor: Cursor, table: str, beside: Reader) -> None:
        self._cursor = cursor
        self._beside = beside
        self._table = table
        # For nested fields, DuckDB takes longer to plan the query than to read a small file, so it
        # does that once.
        self._rows = cursor.sql(f"FROM {table}")
        self.sample = _no_rows(cursor, self._rows)

    def where(self, condition: str) -> OutsideRows:
        """Return those of the rows that an SQL condition chooses."""
        chosen = f"(SELECT * FROM {self._table} WHERE {condition})"
        return OutsideRows(self._cursor, chosen, self._beside)

    @contextmanager
    def tables(self, columns: Sequence[str]) -> Iterator[Iterator[pa.Table]]:
        """Yield the rows in order, as tables of at most about 64 MB; one empty table for no rows.

        After `columns` each table has POSITION: int64.
        """
        with ThreadPoolExecutor(1, "batchflow-source") as thread:
            try:
                rows = self._rows.project(_chosen(columns))
                reader = rows.to_arrow_reader(_FETCHED_ROWS)
                yield _prefetched(thread, _numbered(reader))
            except BaseException:
                self._cursor.interrupt()
                raise

    def few(self, columns: Sequence[str], most_bytes: int) -> pa.Table | None:
        """Return all rows as one table, like `tables` does; None if they are larger."""
        reader = self._rows.project(_chosen(columns)).to_arrow_reader(_FETCHED_ROWS)
        fetched: list[pa.RecordBatch] = []
        size = 0
        for batch in reader:
            fetched.append(batch)
            size += batch.nbytes
            if size > most_bytes:
                self._cursor.interrupt()
                return None
        table = pa.Table.from_batches(fetched, reader.schema).combine_chunks()
        return table.append_column(POSITION, pa.array(np.arange(table.num_rows)))

    def count_keys(self, key: str) -> tuple[int, int]:
        """Return the number of all rows, and of the distinct hashes of a column."""
        # Hashes of 8 bytes are compared faster than texts. A collision only costs time.
        query = f"SELECT hash({key}) AS hashed FROM {self._table}"
        sorted_hashes = self._few_sorted(query)
        if sorted_hashes is not None:
            steps = np.count_nonzero(sorted_hashes[1:] != sorted_hashes[:-1])
            return len(sorted_hashes), int(steps) + min(1, len(sorted_hashes))
        with self._beside() as cursor:
            counted = f"SELECT count(*), count(DISTINCT hashed) FROM ({query})"
            [(rows, distinct)] = cursor.execute(counted).fetchall()
        return int(rows), int(distinct)

    def _few_sorted(self, query: str) -> NDArray[np.uint64] | None:
        """Return the hashes that a query selects, sorted; None if they are many.

        NumPy sorts them in a tenth of the time in which DuckDB groups them, but in memory only.
        """
        parts: list[NDArray[np.uint64]] = []
        rows = 0
        # The source's own cursor is still reading the rows.
        with self._beside() as cursor:
            for batch in cursor.sql(query).to_arrow_reader(_BATCH_ROWS):
                parts.append(batch.column(0).to_numpy())
                rows += batch.num_rows
                if rows > MOST_SORTED:
                    cursor.interrupt()
                    return None
        hashes = np.concatenate([np.zeros(0, np.uint64), *parts])
        hashes.sort()
        return hashes


def _no_rows(cursor: Cursor, rows: duckdb.DuckDBPyRelation) -> pa.Table:
    """Return the columns of a query, without executing it."""
    typed = (
        f"NULL::{kind} AS {quote(name)}"
        for name, kind in zip(rows.columns, rows.types, strict=True)
    )
    return cursor.sql(f"SELECT {', '.join(typed)} WHERE false").to_arrow_table()


def _chosen(columns: Sequence[str]) -> str:
    return ", ".join(map(quote, dict.fromkeys(columns)))


def _numbered(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    start = 0
    for table in _in_pieces(reader):
        places = pa.array(np.arange(start, start + table.num_rows))
        start += table.num_rows
        yield table.append_column(POSITION, places)


def _prefetched(thread: ThreadPoolExecutor, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    next_table = thread.submit(next, tables, None)
    while (table := next_table.result()) is not None:
        next_table = thread.submit(next, tables, None)
        yield table


def _in_pieces(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    pieces: list[pa.RecordBatch] = []
    for batch in _in_batches(reader):
        pieces.append(batch)
        if len(pieces) == _BATCHES:
            yield pa.Table.from_batches(pieces)
            pieces = []
    if pieces:
        yield pa.Table.from_batches(pieces)


def _in_batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    fetched: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in reader:
        fetched.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield _as_one(reader.schema, fetched)
            fetched, rows, size = [], 0, 0
    yield _as_one(reader.schema, fetched)


def _as_one(schema: pa.Schema, fetched: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    table = pa.Table.from_batches(fetched, schema).combine_chunks()
    return table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema)
