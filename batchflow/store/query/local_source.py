"""Answering queries from a store that is open in this process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from batchflow.errors import QueryError
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.query.relation import Params

if TYPE_CHECKING:
    import pyarrow as pa

EXPLAIN = re.compile(r"\s*EXPLAIN\b\s*(\([^()]*\)|ANALYZE\b)?", re.IGNORECASE)

# query() executes text that is put together, so it could hide the others.
ABOUT_THE_PROCESS = re.compile(
    r"\b(duckdb_settings|pg_settings|current_setting|duckdb_secrets|which_secret|duckdb_logs|"
    r"duckdb_temporary_files|getenv|query|query_table)\b(?=\W*\()|\bpg_settings\b",
    re.IGNORECASE,
)

READS_ALONE = (
    "A query is one statement that reads (SELECT, FROM, DESCRIBE, SUMMARIZE, EXPLAIN); "
    "change runs with pause, resume and cancel."
)


class LocalSource:
    """Answers each query on a cursor of its own, so that none holds up a writer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def bind(self, query: str, params: Params) -> LocalBound:
        """Check one query that reads.

        Raises:
            QueryError: it isn't one statement that reads, or DuckDB refuses it.
        """
        cursor = self._connection.reader()
        return LocalBound(cursor, bound(cursor, query, params))

    def bind_served(self, query: str, params: Params) -> LocalBound:
        """Check one query of somebody who isn't in this process: it tells nothing of it either.

        Raises:
            QueryError: as for `bind`, or it asks for DuckDB's settings.
        """
        found = ABOUT_THE_PROCESS.search(query)
        if found:
            raise QueryError(
                f"The query names {found[0]!r}, and by way of an engine's socket no settings can "
                "be read; ask for runs, transitions and errors.",
                found=f"it names {found[0]!r}",
            )
        return self.bind(query, params)


class LocalBound:
    """A query that was bound to the tables of a store in this process."""

    def __init__(self, cursor: Cursor, relation: duckdb.DuckDBPyRelation) -> None:
        self._cursor = cursor
        self._relation = relation

    def interrupt(self) -> None:
        """End its execution, from any thread."""
        self._cursor.interrupt()

    @property
    def columns(self) -> list[str]:
        """Return the names of its columns."""
        return self._relation.columns

    @property
    def types(self) -> list[str]:
        """Return the SQL types of its columns."""
        return [str(kind) for kind in self._relation.types]

    def relation(self) -> duckdb.DuckDBPyRelation:
        """Return its rows, for one use."""
        return self._relation

    def rows(self) -> list[tuple[Any, ...]]:
        """Return its rows as Python's values."""
        return self._relation.fetchall()

    def reader(self, batch_rows: int) -> pa.RecordBatchReader:
        """Return its rows as a stream of record batches."""
        return self._relation.to_arrow_reader(batch_rows)


def bound(reader: Cursor, query: str, params: Params) -> duckdb.DuckDBPyRelation:
    """Return the relation of a query that reads; ``params`` are bound to ``?`` or ``$name``.

    Raises:
        QueryError: it isn't one statement that reads, or DuckDB refuses it.
    """
    _refuse_unless_reading(reader, query)
    try:
        with _reading(reader):
            return reader.sql(query, params=params)
    except duckdb.TransactionException as error:
        raise QueryError(READS_ALONE, found="it is more than one condition") from error
    except duckdb.Error as error:
        found = message_of(error)
        raise QueryError(f"The query can't be executed: {found}", found=found) from cause(error)


def require_text(given: object, what: str) -> None:
    """Raise QueryError unless it is text that SQL can have."""
    if not isinstance(given, str):
        raise QueryError(f"The {what} is of type {type(given).__name__}; give SQL text.")
    if given != given.encode("utf-8", "replace").decode("utf-8"):
        raise QueryError(f"The {what} has half a surrogate pair, which no SQL text can have.")


def _refuse_unless_reading(reader: Cursor, query: str) -> None:
    require_text(query, "query")
    try:
        types = [statement.type for statement in reader.extract_statements(query)]
        if types == [duckdb.StatementType.EXPLAIN]:
            # What is explained may be executed: EXPLAIN ANALYZE.
            explained = EXPLAIN.sub("", query, count=1)
            types = [statement.type for statement in reader.extract_statements(explained)]
    except duckdb.Error as error:
        found = message_of(error)
        raise QueryError(f"The query can't be parsed: {found}", found=found) from cause(error)
    if types != [duckdb.StatementType.SELECT]:
        raise QueryError(READS_ALONE, found="it is more than one condition")


@contextmanager
def _reading(reader: Cursor) -> Iterator[None]:
    """Have DuckDB refuse what would write, such as a DELETE in a WITH: it runs at once."""
    reader.execute("BEGIN TRANSACTION READ ONLY")
    try:
        yield
    finally:
        reader.rollback()
