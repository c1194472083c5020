"""The connection to one store: a cursor for each thread, the one writer, the folding of its log."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from batchflow import crash_point
from batchflow.errors import ForkedStoreError, StoreClosedError, StoreError
from batchflow.store.database.checkpoint import checkpoint
from batchflow.store.database.duckdb_message import cause
from batchflow.store.database.forks import leak_in_child
from batchflow.store.database.instance import MEMORY, Cursor
from batchflow.store.database.store_error import (
    clause_of,
    has_given_up,
    refused_commit,
    store_error_of,
)

log = logging.getLogger("batchflow")

# The log is folded into the file when it has grown to this; the default of 16 MB would do so
# several times within one commit of 250,000 runs.
CHECKPOINT_THRESHOLD_BYTES = 256_000_000


class Connection:
    """Give each thread a cursor of its own, and all threads together one writing transaction.

    A database that DuckDB has given up is opened anew on its next use.

    Args:
        root: the database's connection.
        path: the database's file, where it is written; None where nothing is.
        reopen: opens it anew; None where that can't be done.
        log_values: whether messages may show values of objects.
    """

    def __init__(
        self,
        root: Cursor,
        path: Path | None = None,
        reopen: Callable[[], Cursor] | None = None,
        *,
        log_values: bool = False,
    ) -> None:
        self.root = root
        self.log_values = log_values
        self._path = path
        self._reopen = reopen
        self._given_up = False
        self._settings_locked = False
        self._pid = os.getpid()
        self._closed = False
        # Not in a threading.local: in the child of a fork Python destroys at once what the other
        # threads had there, and DuckDB may wait for ever for a lock that one of them held.
        self._cursors: dict[threading.Thread, Cursor] = {}
        self._opening = threading.Lock()
        self._writing = threading.RLock()
        self._depth = 0
        # Its checkpoint would lose commits, and destroying cursors may wait for a lock for ever.
        leak_in_child(self)

    def cursor(self) -> Cursor:
        """Return the calling thread's own cursor; fetch each of its results to the end."""
        self._check_usable()
        cursor = self._cursors.get(threading.current_thread())
        return self._own_cursor() if cursor is None else cursor

    def reader(self) -> Cursor:
        """Return a new cursor, for a relation that outlives the call."""
        self._check_usable()
        with self._opening:
            return self.root.cursor()

    @contextmanager
    def write(self) -> Iterator[Cursor]:
        """Hold the write lock and a transaction: committed at the end, rolled back on any error.

        Within another `write` of the same thread it takes part in that transaction.

        Raises:
            DiskFullError: there is no room left; StoreError: DuckDB has given the database up.
                The transaction is stored as a whole or not at all.
            CommitError: DuckDB refused the COMMIT otherwise; nothing was stored.
        """
        # Before the lock: in the child of a fork, whoever held it may be gone.
        self._check_usable()
        with self._writing:
            if self._depth:
                yield self.cursor()
                return
            with self._watched():
                cursor = self.cursor()
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
            if self._log_bytes() >= CHECKPOINT_THRESHOLD_BYTES:
                self.fold_log()

    @contextmanager
    def reading(self) -> Iterator[Cursor]:
        """Give the calling thread's cursor to a query that can't be to blame for its failure.

        Raises:
            DiskFullError: there is no room left, for what doesn't fit in memory.
            StoreError: DuckDB can't execute it.
        """
        try:
            with self._watched():
                yield self.cursor()
        except duckdb.Error as error:
            raise StoreError(f"DuckDB can't read the store: {clause_of(error)}.") from error

    def fold_log(self) -> None:
        """Fold the log into the file if that can be done now; what can't be stays in the log.

        Until then DuckDB keeps in memory whatever was updated.
        """
        try:
            with self._writing, self._watched():
                checkpoint(self.cursor(), self._path)
        except (duckdb.Error, OSError, StoreError) as error:
            # Nothing that was committed depends on it.
            log.warning(
                "the log of the store couldn't be folded into its file: %s",
                error,
                extra={"action": "fold_log", "path": str(self._path or MEMORY)},
            )

    @property
    def inherited(self) -> bool:
        """Whether another process opened it, and this one is its forked child."""
        return os.getpid() != self._pid

    def lock_settings(self) -> None:
        """Let no query change a setting any more, as EXPLAIN ANALYZE SET … would."""
        self._settings_locked = True
        self.root.execute("SET GLOBAL lock_configuration = true")

    def close(self) -> None:
        """Close every cursor and relation, and let the file go; a second call does nothing."""
        if self._closed or self.inherited:
            return
        with self._writing:
            crash_point.reached("at_close")
            if self._log_bytes() and not self._given_up:
                self.fold_log()
            self._closed = True
            self.root.close()

    def bytes_on_disk(self) -> int:
        """Return what the file and its log take; 0 in memory."""
        return os.stat(self._path).st_size + self._log_bytes() if self._path else 0

    def _log_bytes(self) -> int:
        try:
            return os.stat(f"{self._path}.wal").st_size if self._path else 0
        except FileNotFoundError:
            return 0

    def _own_cursor(self) -> Cursor:
        with self._opening:
            alive = {each: cursor for each, cursor in self._cursors.items() if each.is_alive()}
            cursor = alive[threading.current_thread()] = self.root.cursor()
            self._cursors = alive
        return cursor

    def _check_usable(self) -> None:
        if self.inherited:
            raise ForkedStoreError
        if self._closed:
            raise StoreClosedError
        if self._given_up:
            self._open_anew()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            self._given_up = self._given_up or has_given_up(error)
            trouble = store_error_of(error)
            if trouble is None:
                raise
            raise trouble from error

    def _open_anew(self) -> None:
        with self._writing:
            # Whoever is in the middle of a transaction is to see it fail.
            if not self._given_up or self._depth:
                return
            if self._reopen is None:
                raise StoreError("The store was in memory alone, and DuckDB lost it; open another.")
            self.root.close()
            self._cursors = {}
            self.root = self._reopen()
            if self._settings_locked:
                self.lock_settings()
            self._given_up = False


def _commit(cursor: Cursor) -> None:
    crash_point.reached("at_commit")
    try:
        cursor.commit()
    except duckdb.Error as error:
        _roll_back(cursor)
        if has_given_up(error):
            raise
        raise refused_commit(error) from cause(error)


def _roll_back(cursor: Cursor) -> None:
    # A COMMIT on an aborted transaction answers success and drops it, so this can't be left out;
    # a ROLLBACK where the transaction is gone already is the one thing that may fail here.
    with suppress(duckdb.Error):
        cursor.rollback()
