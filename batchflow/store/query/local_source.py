"""Executing queries in a store that is open in this process."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import duckdb

from batchflow.errors import QueryError
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.query.source import Columns, Params, ResultT, Rows

if TYPE_CHECKING:
    import pyarrow as pa

EXPLAIN = re.compile(r"\s*EXPLAIN\b\s*(\([^()]*\)|ANALYZE\b)?", re.IGNORECASE)

# query() executes text that is put together, so it could hide the others.
ABOUT_THE_PROCESS = re.compile(
    r"\b(duckdb_settings|pg_settings|current_setting|duckdb_secrets|which_secret|duckdb_logs|"
    r"duckdb_temporary_files|getenv|query|query_table)\b(?=\W*\()|\bpg_settings\b",
    re.IGNORECASE,
)

ONLY_READS = (
    "A query is one statement that only reads (SELECT, FROM, DESCRIBE, SUMMARIZE, EXPLAIN); "
    "change runs with pause, resume, cancel and edit."
)


class LocalSource:
    """Executes each query on a cursor of its own, so that none blocks a writer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def rows(self, query: str, params: Params) -> Iterator[LocalRows]:
        """Execute one query that only reads; see `Source`."""
        yield self.bind(query, params)

    def read(self, query: str, params: Params, action: Callable[[Rows], ResultT]) -> ResultT:
        """Execute one query and return what `action` makes of its rows; see `Source`."""
        return action(self.bind(query, params))

    def describe(self, query: str, params: Params) -> Columns:
        """Return the columns of a query; see `Source`."""
        return self.bind(query, params).columns

    def bind(self, query: str, params: Params) -> LocalRows:
        """Check a query and bind it to the store's tables; reading its rows executes it.

        Raises:
            QueryError: It isn't one statement that reads, or DuckDB refuses it.
        """
        cursor = self._connection.reader()
        return LocalRows(cursor, bound(cursor, query, params))

    def bind_for_client(self, query: str, params: Params) -> LocalRows:
        """Bind a query of another process, which may not read anything of this process either.

        Raises:
            QueryError: As for `bind`, or the query reads DuckDB's settings.
        """
        found = ABOUT_THE_PROCESS.search(query)
        if found:
            raise QueryError(
                f"The query uses {found[0]!r}, and no settings can be read through an engine's "
                "socket; query runs, transitions and errors.",
                found=f"it uses {found[0]!r}",
            )
        return self.bind(query, params)


class LocalRows:
    """The rows of a query that is bound to the tables of a store in this process."""

    def __init__(self, cursor: Cursor, relation: duckdb.DuckDBPyRelation) -> None:
        self._cursor = cursor
        self._relation = relation

    def interrupt(self) -> None:
        """End the query's execution, from any thread."""
        self._cursor.interrupt()

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


def require_text(given: object, what: str) -> None:
    """Raise QueryError unless it is text that SQL can have."""
    if not isinstance(given, str):
        raise QueryError(f"The {what} is of type {type(given).__name__}; give SQL text.")
    if given != given.encode("utf-8", "replace").decode("utf-8"):
        raise QueryError(f"The {what} has half a surrogate pair, which no SQL text can have.")


def require_reading(query: object) -> None:
    """Raise QueryError unless it is one statement that only reads; tables aren't looked up."""
    require_text(query, "query")
    try:
        types = _statement_types(str(query))
        if types == (duckdb.StatementType.EXPLAIN,):
            # EXPLAIN ANALYZE executes what it explains.
            types = _statement_types(EXPLAIN.sub("", str(query), count=1))
    except duckdb.Error as error:
        found = message_of(error)
        raise QueryError(f"The query can't be parsed: {found}", found=found) from cause(error)
    if types != (duckdb.StatementType.SELECT,):
        raise QueryError(ONLY_READS, found="it is more than one condition")


@lru_cache(maxsize=256)
def _statement_types(query: str) -> tuple[duckdb.StatementType, ...]:
    # Cached, as a waiting caller repeats a query with each commit.
    return tuple(statement.type for statement in duckdb.extract_statements(query))


@contextmanager
def _read_only_transaction(reader: Cursor) -> Iterator[None]:
    """Have DuckDB refuse what would write, such as a DELETE in a WITH, which runs at once."""
    reader.execute("BEGIN TRANSACTION READ ONLY")
    try:
        yield
    finally:
        reader.rollback()
