"""A store that is opened to be read: no definitions, no lock, nothing written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import duckdb

from batchflow.errors import QueryError
from batchflow.store import database, queries
from batchflow.store.checkpoint import journal_of, repair
from batchflow.store.connection import Connection
from batchflow.store.lock import StoreLock
from batchflow.store.spill import SpillFolder
from batchflow.store.tables import StoredTables, stored_tables
from batchflow.store.wording import cause, said


def connect(path: str | os.PathLike[str]) -> StoreReader:
    """Open an existing store to look into it, without its workflows' definitions.

    Nothing is written and nothing is created. Readers don't keep each other out; an engine keeps
    them out, and they it, until they are closed. What a crash left in DuckDB's log is read too.

    Raises:
        StoreHeldError: an engine has it open.
        StoreFormatError: there is no such file, or it isn't a store.
    """
    real = Path(os.path.realpath(path))
    _finish_checkpoint(real)
    spill = SpillFolder.apart()
    try:
        root = database.open_read_only(real, str(spill.path))
        return StoreReader(str(real), Connection(root), spill)
    except BaseException:
        spill.remove()
        raise


def _finish_checkpoint(path: Path) -> None:
    """Put back what a process that was killed left by half, or nobody could read it."""
    if journal_of(path).exists():
        lock = StoreLock.acquire(path, datetime.now(UTC))
        try:
            repair(path)
        finally:
            lock.release()


class StoreReader:
    """A store to look into; close it, or use it in a ``with`` block.

    Where a method takes a workflow's name, it may be left out if the store has only one.

    Attributes:
        path: the store's file.
        workflows: the names of the workflows in it, sorted.
    """

    def __init__(self, path: str, connection: Connection, spill: SpillFolder) -> None:
        self.path = path
        self._connection = connection
        self._spill = spill
        connection.lock_settings()
        self._tables: dict[str, StoredTables] = stored_tables(connection.cursor())
        self.workflows: tuple[str, ...] = tuple(self._tables)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go; relations made from it end with it; a second call does nothing."""
        self._connection.close()
        if not self._connection.inherited:
            self._spill.remove()

    def sql(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Return the relation of one query that reads; ``params`` are bound to ``?`` or ``$name``.

        Raises:
            QueryError: it isn't one statement that reads, or DuckDB refuses it.
        """
        return queries.sql(self._connection.reader(), query, params)

    def runs(
        self, where: str | None = None, workflow: str | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Return the runs that an SQL predicate over their columns chooses, or all.

        Raises:
            QueryError: the predicate can't be executed, or there is no such workflow.
        """
        return queries.runs(self._connection.reader(), self._of(workflow), where)

    def counts(self, workflow: str | None = None) -> duckdb.DuckDBPyRelation:
        """Return ``status``, ``run_state``, ``runs``, in the order of the statuses."""
        return queries.counts(self._connection.reader(), self._of(workflow))

    def errors(self, workflow: str | None = None) -> duckdb.DuckDBPyRelation:
        """Return the failures by fingerprint, the most frequent first."""
        return queries.errors(self._connection.reader(), self._of(workflow))

    def history(self, run_id: UUID) -> duckdb.DuckDBPyRelation:
        """Return the transitions of one run in their order, with the error of each that failed.

        Raises:
            RunNotFoundError: there is no such run.
        """
        tables = self._tables[self.workflow_of(run_id)]
        return queries.history(self._connection.reader(), tables, run_id)

    def workflow_of(self, run_id: UUID) -> str:
        """Return the name of the workflow whose runs have ids like this one.

        Raises:
            RunNotFoundError: none has.
        """
        for name, tables in self._tables.items():
            if queries.is_of(tables, run_id):
                return name
        raise queries.not_found(run_id)

    def _of(self, workflow: str | None) -> StoredTables:
        if workflow is None and len(self._tables) == 1:
            return next(iter(self._tables.values()))
        if workflow not in self._tables:
            asked = "no workflow is named" if workflow is None else f"it has no {workflow!r}"
            there = ", ".join(map(repr, self._tables)) or "none yet"
            raise QueryError(
                f"The store {self.path!r} was asked about one workflow and {asked}; its workflows "
                f"are: {there}."
            )
        return self._tables[workflow]


@contextmanager
def executing() -> Iterator[None]:
    """Turn what DuckDB raises while a relation is executed into a QueryError."""
    try:
        yield
    except duckdb.Error as error:
        raise QueryError(f"The query failed while it was executed: {said(error)}") from cause(error)
