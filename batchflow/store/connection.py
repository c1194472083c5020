"""The connection to one DuckDB file: its settings, its cursors, and the one writer."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import duckdb

from batchflow.errors import CommitError, ForkedStoreError, StoreClosedError

Cursor = duckdb.DuckDBPyConnection
MEMORY = ":memory:"

# The log is folded into the file when it has grown to this; the default of 16 MB would do so
# several times within one commit of 250,000 runs.
CHECKPOINT_THRESHOLD = "256MB"


# The name of a store within DuckDB.
CATALOG = "store"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Say how a database is opened.

    Attributes:
        schemas: those that will be made in it.
        memory_limit: the most memory that DuckDB may take, like "4GB".
        read_only: whether nothing is to be changed, the log of a crash included.
    """

    schemas: frozenset[str] = frozenset()
    memory_limit: str | None = None
    read_only: bool = False


def connect(path: str, settings: Settings) -> Cursor:
    """Open a DuckDB file, or ``":memory:"``, with the settings that every cursor has."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "arrow_lossless_conversion": "true",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_persistent_secrets": "false",
        "checkpoint_threshold": CHECKPOINT_THRESHOLD,
    }
    if settings.memory_limit is not None:
        config["memory_limit"] = settings.memory_limit
    if path != MEMORY:
        # What doesn't fit in memory goes beside the store, not where the process was started.
        config["temp_directory"] = f"{path}.tmp"
    root = duckdb.connect(MEMORY, config=config)
    try:
        root.execute("SET GLOBAL TimeZone = 'UTC'")
        root.execute("SET TimeZone = 'UTC'")
        _attach(root, path, settings)
    except BaseException:
        root.close()
        raise
    return root


def _attach(root: Cursor, path: str, settings: Settings) -> None:
    # Opened directly, the catalog would be named as the file, and with "orders.duckdb" DuckDB
    # couldn't tell that from the schema of a workflow "orders"; so its name must be no schema's.
    file = "'" + path.replace("'", "''") + "'"
    mode = ", READ_ONLY" if settings.read_only else ""
    catalog = CATALOG
    while True:
        root.execute(f"ATTACH {file} AS {catalog} (TYPE duckdb{mode})")
        if catalog not in _schemas(root, catalog) | settings.schemas:
            break
        root.execute(f"DETACH {catalog}")
        catalog += "_"
    root.execute(f"USE {catalog}.main")
    root.execute("DETACH memory")


def _schemas(root: Cursor, catalog: str) -> frozenset[str]:
    query = "SELECT lower(schema_name) FROM duckdb_schemas() WHERE database_name = ?"
    return frozenset(name for (name,) in root.execute(query, [catalog]).fetchall())


class Connection:
    """Give each thread a cursor of its own, and all threads together one writing transaction."""

    def __init__(self, root: duckdb.DuckDBPyConnection) -> None:
        self.root = root
        self._pid = os.getpid()
        self._closed = False
        self._cursors = threading.local()
        self._opening = threading.Lock()
        self._writing = threading.RLock()
        self._depth = 0
        os.register_at_fork(after_in_child=_leak_in_child(weakref.ref(self)))

    def cursor(self) -> Cursor:
        """Return the calling thread's own cursor; fetch each of its results to the end."""
        self._check_usable()
        cursor: Cursor | None = getattr(self._cursors, "cursor", None)
        if cursor is None:
            cursor = self._cursors.cursor = self.reader()
        return cursor

    def reader(self) -> Cursor:
        """Return a new cursor, for a relation that outlives the call."""
        self._check_usable()
        with self._opening:
            return self.root.cursor()

    @contextmanager
    def write(self) -> Iterator[Cursor]:
        """Hold the write lock and a transaction: committed at the end, rolled back on any error.

        Within another `write` of the same thread it takes part in that transaction.
        Raises CommitError where DuckDB refuses the COMMIT.
        """
        with self._writing:
            cursor = self.cursor()
            if self._depth:
                yield cursor
                return
            cursor.begin()
            self._depth = 1
            try:
                yield cursor
            except BaseException:
                _roll_back(cursor)
                raise
            else:
                _commit(cursor)
            finally:
                self._depth = 0

    def close(self) -> None:
        """Close every cursor and relation, and let the file go; a second call does nothing."""
        if self._closed or os.getpid() != self._pid:
            return
        with self._writing:
            self._closed = True
            self.root.close()

    def _check_usable(self) -> None:
        if os.getpid() != self._pid:
            raise ForkedStoreError
        if self._closed:
            raise StoreClosedError


def _commit(cursor: Cursor) -> None:
    try:
        cursor.commit()
    except duckdb.Error as error:
        _roll_back(cursor)
        raise CommitError(
            f"DuckDB refused a commit: {error}. Make room or correct the cause, then open the "
            "store again: it holds either the whole commit or nothing of it."
        ) from error


def _roll_back(cursor: Cursor) -> None:
    # A COMMIT on an aborted transaction answers success and drops it, so this can't be left out;
    # a ROLLBACK where the transaction is gone already is the one thing that may fail here.
    with suppress(duckdb.Error):
        cursor.rollback()


def _leak_in_child(reference: weakref.ref[Connection]) -> Callable[[], None]:
    """Keep a forked child from destroying the database: its checkpoint would lose commits."""

    def leak() -> None:
        connection = reference()
        if connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection.root))

    return leak
