"""A store that is opened for reading only: without workflows or a lock, and nothing is written."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from batchflow.store.database import file as database
from batchflow.store.database.checkpoint import journal_of, repair
from batchflow.store.database.connection import Connection
from batchflow.store.database.lock import StoreLock
from batchflow.store.database.spill import SpillFolder
from batchflow.store.query.local_source import LocalSource


class ReadOnlyStore:
    """An existing store's file, open for queries; it may have an older format.

    Nothing is written or created. Any number of readers can have the file open, but an engine
    excludes readers and is excluded by them. What a crash left in DuckDB's log is read too.

    Attributes:
        path: The store's file.
        source: Where queries are executed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file.

        Raises:
            StoreHeldError: An engine has it open.
            StoreFormatError: There is no such file, it is not a store, or it has a newer format.
        """
        real = Path(os.path.realpath(path))
        self.path = str(real)
        _finish_checkpoint(real)
        self._spill = SpillFolder.temporary()
        try:
            self._connection = Connection(database.open_read_only(real, str(self._spill.path)))
            self._connection.lock_settings()
        except BaseException:
            self._spill.remove()
            raise
        self.source = LocalSource(self._connection)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._connection.close()
        if not self._connection.inherited:
            self._spill.remove()


def _finish_checkpoint(path: Path) -> None:
    """Repair what a process left that was killed during a checkpoint; it can't be read before."""
    if journal_of(path).exists():
        # Another reader may be doing the same.
        lock = StoreLock.acquire(path, datetime.now(UTC), for_one_call=True)
        try:
            repair(path)
        finally:
            lock.release()
