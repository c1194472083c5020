"""The work of one thread in a store, which other threads can interrupt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from batchflow.store.database.instance import Cursor, interrupt


class ThreadWork:
    """The statements of one thread; after an interruption, none of their changes is committed."""

    def __init__(self) -> None:
        self._cursors: list[Cursor] = []
        self._interrupted = False
        self._shielded = False
        self._lock = threading.Lock()

    def add(self, cursor: Cursor) -> None:
        """Interrupt what this cursor executes as well."""
        with self._lock:
            self._cursors.append(cursor)

    def remove(self, cursor: Cursor) -> None:
        """Forget a cursor."""
        with self._lock:
            self._cursors.remove(cursor)

    def interrupt(self) -> None:
        """Interrupt the statement under way, from any thread; repeat it until the work has ended.

        DuckDB forgets an interruption that comes between two statements.
        """
        with self._lock:
            self._interrupted = True
            for cursor in () if self._shielded else self._cursors:
                interrupt(cursor)

    def check(self) -> None:
        """Raise InterruptException if the work was interrupted."""
        if self._interrupted:
            raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")

    def enter_commit(self) -> None:
        """Let no interruption reach DuckDB from here on, as a COMMIT must succeed or fail.

        Raises:
            duckdb.InterruptException: The work was interrupted.
        """
        with self._lock:
            self.check()
            self._shielded = True

    def leave_commit(self) -> None:
        """Let interruptions reach DuckDB again."""
        with self._lock:
            self._shielded = False

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Let no interruption reach DuckDB within the block."""
        with self._lock:
            before, self._shielded = self._shielded, True
        try:
            yield
        finally:
            with self._lock:
                self._shielded = before
