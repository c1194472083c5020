"""Executing queries in a store that is open in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb

from batchflow.errors import QueryError
from batchflow.operation.parameters import Params
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.instance import Cursor, close, interrupt
from batchflow.store.query.interruption import interruptible
from batchflow.store.query.parse_tree import ONLY_READS
from batchflow.store.query.permission import require_reading
from batchflow.store.query.source import Columns, ResultT, Rows

if TYPE_CHECKING:
    import pyarrow as pa


class LocalSource:
    """Executes each query on a cursor of its own, so that none blocks a writer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def rows(self, query: str, params: Params) -> Iterator[LocalRows]:
        """Execute one query that only reads; see `Source`."""
        yield self._read(query, params, lambda rows: rows)

    def read(self, query: str, params: Params, action: Callable[[Rows], ResultT]) -> ResultT:
        """Execute one query and return what `action` makes of its rows; see `Source`."""
        return self._read(query, params, action)

    def describe(self, query: str, params: Params) -> Columns:
        """Return the columns of a query; see `Source`."""
        return self._read(query, params, lambda rows: rows.columns)

    def _read(self, query: str, params: Params, action: Callable[[LocalRows], ResultT]) -> ResultT:
        cursor = self._connection.reader()
        return interruptible(
            lambda: action(LocalRows(cursor, bound(cursor, query, params))),
            partial(interrupt, cursor),
        )

    def bind(
        self, query: str, params: Params, begun: Callable[[Cursor], None] = lambda _: None
    ) -> LocalRows:
        """Check a query and bind it to the store's tables; reading its rows executes it.

        Args:
            query: The query.
            params: The values of its parameters.
            begun: Is called with the cursor before DuckDB begins, to interrupt it. Binding may
                execute a part.

        Raises:
            QueryError: It isn't one statement that reads, or DuckDB refuses it.
        """
        cursor = self._connection.reader()
        begun(cursor)
        return LocalRows(cursor, bound(cursor, query, params))


class LocalRows:
    """The rows of a query that is bound to the tables of a store in this process."""

    def __init__(self, cursor: Cursor, relation: duckdb.DuckDBPyRelation) -> None:
        self._cursor = cursor
        self._relation = relation

    def interrupt(self) -> None:
        """End the query's execution, from any thread."""
        interrupt(self._cursor)

    def close(self) -> None:
        """Close the query's cursor; its rows can't be read any more."""
        close(self._cursor)

    @property
    def columns(self) -> Columns:
        """Return the columns."""
        types = (str(kind) for kind in self._relation.types)
        return Columns(tuple(self._relation.columns), tuple(types))

    def relation(self) -> duckdb.DuckDBPyRelation:
        """Return the rows as a relation of DuckDB's."""
        return self._relation

    def tuples(self) -> list[tuple[Any, ...]]:
        """Return the rows as Python's values."""
        return self._relation.fetchall()

    def reader(self, batch_rows: int) -> pa.RecordBatchReader:
        """Return the rows as a stream of record batches."""
        return self._relation.to_arrow_reader(batch_rows)


def bound(reader: Cursor, query: str, params: Params) -> duckdb.DuckDBPyRelation:
    """Return the relation of a query that only reads; `params` are bound to ``?`` or ``$name``.

    Raises:
        QueryError: It isn't one statement that reads, or DuckDB refuses it.
    """
    require_reading(query)
    try:
        with _read_only_transaction(reader):
            return reader.sql(query, params=params)
    except duckdb.TransactionException as error:
        raise QueryError(ONLY_READS, found="it is more than one condition") from error
    except duckdb.Error as error:
        found = message_of(error)
        raise QueryError(f"The query can't be executed: {found}", found=found) from cause(error)


@contextmanager
def _read_only_transaction(reader: Cursor) -> Iterator[None]:
    """Have DuckDB refuse what would write, such as a DELETE in a WITH, which runs at once."""
    reader.execute("BEGIN TRANSACTION READ ONLY")
    try:
        yield
    finally:
        reader.rollback()
