"""The connection to one store: a cursor for each thread, one writer, and checkpoints."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from batchflow import crash_point
from batchflow.errors import ForkedStoreError, StoreClosedError, StoreError
from batchflow.store.database.checkpoint import checkpoint, journal_of
from batchflow.store.database.ctrl_c import CtrlC
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.forks import leak_in_child
from batchflow.store.database.instance import MEMORY, Cursor, interrupt
from batchflow.store.database.lock import StoreLock
from batchflow.store.database.open_file import OpenFile
from batchflow.store.database.staging import Stage
from batchflow.store.database.store_error import (
    clause_of,
    is_invalidated,
    refused_commit,
    store_error_of,
)
from batchflow.store.database.thread_work import ThreadWork

log = logging.getLogger("batchflow")

# A larger log is folded into the file. DuckDB's default of 16 MB would do that several times within
# one commit of 250,000 runs.
CHECKPOINT_THRESHOLD_BYTES = 256_000_000


class Connection:
    """A cursor for each thread, and one writing transaction at a time for all threads.

    If DuckDB invalidates the database, the next use opens it again.

    Args:
        root: The database's connection.
        path: The database's file if it is opened for writing, otherwise None.
        lock: The lock of the file.
        reopen: Opens the database again; None if that is impossible.
        log_values: Whether messages may show values of objects.
    """

    def __init__(
        self,
        root: Cursor,
        path: Path | None = None,
        lock: StoreLock | None = None,
        reopen: Callable[[], Cursor] | None = None,
        *,
        log_values: bool = False,
    ) -> None:
        self.root = root
        self.log_values = log_values
        self.path = path
        self._file = None if path is None else OpenFile(path, lock)
        self._lock = lock
        self._reopen = reopen
        self._invalidated = False
        self._settings_locked = False
        self._pid = os.getpid()
        self._closed = False
        # Not a threading.local: in a forked child, Python destroys at once what other threads had
        # there, and DuckDB may wait for ever for a lock that one of them held.
        self._cursors: dict[threading.Thread, Cursor] = {}
        self._stages: dict[threading.Thread, Stage] = {}
        # By the thread that does it; other threads have none.
        self._works: dict[threading.Thread, ThreadWork] = {}
        self._opening = threading.Lock()
        self._writing = threading.RLock()
        self._depth = 0
        # Odd during a COMMIT, so that a reader notices one from its beginning to its end.
        self._commits_begun_and_ended = 0
        # In a forked child, a checkpoint would lose commits, and destroying cursors may wait for a
        # lock for ever.
        leak_in_child(self)

    def cursor(self) -> Cursor:
        """Return the calling thread's own cursor; fetch each of its results to the end."""
        self._check_usable()
        cursor = self._cursors.get(threading.current_thread())
        return self._own_cursor() if cursor is None else cursor

    def stage(self) -> Stage:
        """Return the stage of the calling thread's own cursor; call it outside of a transaction."""
        thread, cursor = threading.current_thread(), self.cursor()
        stage = self._stages.get(thread)
        if stage is None or stage.cursor is not cursor:
            with self._opening:
                alive = {each: stage for each, stage in self._stages.items() if each.is_alive()}
                stage = alive[thread] = Stage(cursor)
                self._stages = alive
        return stage

    def reader(self) -> Cursor:
        """Return a new cursor for a relation that lives longer than the call."""
        self._check_usable()
        with self._opening:
            cursor = self.root.cursor()
        self.interrupt_with_work(cursor)
        return cursor

    @contextmanager
    def write(self) -> Iterator[Cursor]:
        """Hold the write lock and a transaction: committed at the end, rolled back on any error.

        Within another `write` of the same thread, it takes part in that transaction.

        Raises:
            DiskFullError, StoreError: The disk is full, the file isn't in place any more, or DuckDB
                invalidated the database. The transaction is stored completely or not at all.
            CommitError: DuckDB refused the COMMIT for another reason; nothing was stored.
        """
        # Before the lock: in a forked child, the thread that held it may not exist.
        self._check_usable()
        with self._writing:
            if self._depth:
                yield self.cursor()
                return
            work = self._work()
            work.check()
            self._check_file()
            with self._watched():
                cursor = self.cursor()
                # From BEGIN to COMMIT, as Ctrl-C may come at any moment.
                try:
                    cursor.begin()
                    self._depth = 1
                    yield cursor
                    work.enter_commit()
                    self._commit(cursor)
                except BaseException:
                    _roll_back(cursor)
                    raise
                finally:
                    work.leave_commit()
                    self._depth = 0
            log_bytes = 0 if self._file is None else self._file.note_commit()
            if log_bytes is None or log_bytes >= CHECKPOINT_THRESHOLD_BYTES:
                self.fold_log()

    @contextmanager
    def trying(self) -> Iterator[Cursor]:
        """Hold a transaction that is always rolled back, beside the commits of others.

        It waits for none of them and delays none. It may read and register tables, like `write`,
        but not change the store.
        """
        self._check_usable()
        with self._watched():
            cursor = self.cursor()
            try:
                cursor.begin()
                yield cursor
                _roll_back(cursor)
            except BaseException:
                _roll_back(cursor)
                raise

    @property
    def commits(self) -> int | None:
        """The number of commits since the store was opened; None while one is under way.

        If it is the same number before and after a query, the query read the store as it still is.
        """
        begun_and_ended = self._commits_begun_and_ended
        return None if begun_and_ended % 2 else begun_and_ended // 2

    @contextmanager
    def reading(self) -> Iterator[Cursor]:
        """Give the calling thread's cursor to a query of the engine's own.

        Raises:
            DiskFullError: No disk space is left for what does not fit in memory.
            StoreError: DuckDB can't execute the query.
        """
        try:
            with self._watched():
                yield self.cursor()
        except duckdb.Error as error:
            raise StoreError(f"DuckDB can't read the store: {clause_of(error)}.") from cause(error)

    def begin_log(self) -> None:
        """Mark the file before the first commit, or now if it was changed while it opened.

        A store that is opened and closed without a change stays as it is, byte by byte.
        """
        if self._file is None:
            return
        if self._file.log_bytes() or journal_of(self._file.path).exists():
            self.fold_log()
        else:
            self._file.unused = True

    def fold_log(self, *, last: bool = False) -> None:
        """Fold the log into the file if that is possible now; if not, it stays in the log.

        Until then, DuckDB keeps all updated values in memory. `last` is for a file that is closed
        next.
        """
        try:
            with CtrlC(), self._writing, self._watched(), self._work().shielded():
                checkpoint(self.cursor(), self._file, last=last)
        except (duckdb.Error, OSError, StoreError) as error:
            # Everything that was committed is in the log.
            log.warning(
                "The store's log could not be folded into its file: %s",
                error if isinstance(error, StoreError) else message_of(error),
                extra={"action": "fold_log", "path": str(self.path or MEMORY)},
            )

    @property
    def inherited(self) -> bool:
        """Whether this process is a forked child of the one that opened the store."""
        return os.getpid() != self._pid

    @contextmanager
    def doing(self, work: ThreadWork) -> Iterator[None]:
        """Let other threads interrupt what the calling thread does within the block."""
        thread = threading.current_thread()
        work.add(self.cursor())
        outer = self._works.get(thread)
        self._works[thread] = work
        try:
            yield
        finally:
            if outer is None:
                del self._works[thread]
            else:
                self._works[thread] = outer

    def interrupt_with_work(self, cursor: Cursor) -> None:
        """Interrupt a cursor of any instance together with the calling thread's work."""
        self._work().add(cursor)

    @contextmanager
    def cursor_of(self, instance: Cursor) -> Iterator[Cursor]:
        """Give a new cursor of another instance, which is interrupted with the thread's work."""
        work = self._work()
        with instance.cursor() as cursor:
            work.add(cursor)
            try:
                yield cursor
            finally:
                work.remove(cursor)

    def interruption(self) -> Callable[[], None]:
        """Return what raises InterruptException once the calling thread's work is interrupted."""
        return self._work().check

    def interrupt(self, threads: Iterable[threading.Thread]) -> None:
        """Interrupt the statements of other threads; the transactions are rolled back."""
        for thread in tuple(threads):
            work, cursor = self._works.get(thread), self._cursors.get(thread)
            if work is not None:
                work.interrupt()
            elif cursor is not None:
                interrupt(cursor)

    def _work(self) -> ThreadWork:
        """Return the work of the calling thread, or one that nothing interrupts."""
        return self._works.get(threading.current_thread()) or ThreadWork()

    def lock_settings(self) -> None:
        """Prevent queries from changing settings, as EXPLAIN ANALYZE SET … would."""
        self._settings_locked = True
        self.root.execute("SET GLOBAL lock_configuration = true")

    def close(self) -> None:
        """Close the file with every cursor and relation; a second call does nothing."""
        if self._closed or self.inherited:
            return
        with self._writing:
            crash_point.reached("at_close")
            try:
                if self._file is not None and self._file.is_changed() and not self._invalidated:
                    self.fold_log(last=True)
            finally:
                # Also after Ctrl-C: everything that was committed is in the log.
                self._closed = True
                self.root.close()

    def bytes_on_disk(self) -> int:
        """Return the size of the file and its log; 0 in memory."""
        if self._file is None:
            return 0
        self._file.check()
        return self._file.path.stat().st_size + (self._file.log_bytes() or 0)

    def _check_file(self) -> None:
        """Make sure that the next commit will be in the file or in a log beside it."""
        if self._file is None or self._depth:
            return
        self._file.check()
        if self._file.unused or self._file.log_bytes() is None:
            # DuckDB still has everything in memory.
            self.fold_log()
        if self._file.log_bytes() is None:
            raise StoreError(
                "Another program removed, replaced or cut off the log of the store "
                f"{str(self.path)!r}, and it can't be written into the file now, so nothing more "
                "is stored. End all queries of the store, then run again."
            )

    def _commit(self, cursor: Cursor) -> None:
        self._commits_begun_and_ended += 1
        try:
            _commit(cursor)
        finally:
            # A COMMIT that failed may have been stored.
            self._commits_begun_and_ended += 1

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
        if self._invalidated:
            self._open_again()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            self._invalidated = self._invalidated or is_invalidated(error)
            store_error = store_error_of(error)
            if store_error is None:
                raise
            raise store_error from cause(error)

    def _open_again(self) -> None:
        with self._writing:
            # A transaction that has begun must fail.
            if not self._invalidated or self._depth:
                return
            if self._reopen is None:
                raise StoreError(
                    "DuckDB invalidated the store, which was only in memory; open another."
                )
            self.root.close()
            self._cursors, self._stages = {}, {}
            self.root = self._reopen()
            if self._file is not None:
                unused = self._file.unused
                self._file = OpenFile(self._file.path, self._lock)
                self._file.unused = unused
            if self._settings_locked:
                self.lock_settings()
            self._invalidated = False


def _commit(cursor: Cursor) -> None:
    crash_point.reached("at_commit")
    try:
        cursor.commit()
    except duckdb.Error as error:
        _roll_back(cursor)
        if is_invalidated(error):
            raise
        raise refused_commit(error) from cause(error)


def _roll_back(cursor: Cursor) -> None:
    # Required, as a COMMIT on an aborted transaction reports success and discards it. The ROLLBACK
    # itself fails only if the transaction has already ended.
    with suppress(duckdb.Error):
        cursor.rollback()
