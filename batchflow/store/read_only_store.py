"""A store that is opened to be read: no definitions, no lock, nothing written."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from batchflow.store.database import file as database
from batchflow.store.database.checkpoint import journal_of, repair
from batchflow.store.database.connection import Connection
from batchflow.store.database.lock import StoreLock
from batchflow.store.database.spill import SpillFolder
from batchflow.store.query.local_source import LocalBound, LocalSource
from batchflow.store.query.relation import Params


class ReadOnlyStore:
    """An existing store's file, open to answer queries; readers don't keep each other out.

    Nothing is written and nothing is created. An engine keeps readers out, and they it, until they
    are closed. What a crash left in DuckDB's log is read too.

    Attributes:
        path: the store's file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open it.

        Raises:
            StoreHeldError: an engine has it open.
            StoreFormatError: there is no such file, or it isn't a store.
        """
        real = Path(os.path.realpath(path))
        self.path = str(real)
        _finish_checkpoint(real)
        self._spill = SpillFolder.apart()
        try:
            self._connection = Connection(database.open_read_only(real, str(self._spill.path)))
            self._connection.lock_settings()
        except BaseException:
            self._spill.remove()
            raise
        self._source = LocalSource(self._connection)

    def bind(self, query: str, params: Params) -> LocalBound:
        """Check one query that reads; see `LocalSource`."""
        return self._source.bind(query, params)

    def close(self) -> None:
        """Let the file go; relations made from it end with it; a second call does nothing."""
        self._connection.close()
        if not self._connection.inherited:
            self._spill.remove()


def _finish_checkpoint(path: Path) -> None:
    """Put back what a process that was killed left by half, or nobody could read it."""
    if journal_of(path).exists():
        lock = StoreLock.acquire(path, datetime.now(UTC))
        try:
            repair(path)
        finally:
            lock.release()
