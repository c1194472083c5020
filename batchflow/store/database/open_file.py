"""A store's file and its log as this process has them open, and whether they are still in place.

Other programs may move, replace or remove both meanwhile. DuckDB doesn't notice: it continues to
write to files that no path leads to any more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from batchflow.errors import StoreError
from batchflow.store.database.lock import StoreLock
from batchflow.store.database.log_size import beginning_of
from batchflow.store.database.new_file import log_of

# DuckDB writes it once in each checkpoint, and nothing else.
HEADER_BYTES: Final = 3 * 4096

_Identity: TypeAlias = tuple[int, int]


class OpenFile:
    """The file of a store that is open for writing.

    Attributes:
        path: Where it was opened.
        unused: Whether the file is as it was closed before, and doesn't have the mark yet.
        marked: Whether the mark of `log_mark` may be set, in the file or in its log.
    """

    def __init__(self, path: Path, lock: StoreLock | None = None) -> None:
        """Note what is at the path, right after DuckDB opened it.

        Args:
            path: The file.
            lock: Where the size of the log is noted.

        Raises:
            StoreError: The file isn't there any more.
        """
        self.path = path
        self.unused = False
        self.marked = True
        self._log = log_of(path)
        self._log_identity: _Identity | None = None
        self._log_beginning = b""
        self._log_bytes = 0
        self._lock = lock
        status = self._status()
        self._identity, self._bytes = _identity(status), status.st_size
        self._descriptor = own_descriptor(path)
        self._header = self._read_header()

    def check(self) -> None:
        """Make sure that the file is still in place.

        Raises:
            StoreError: It was moved, removed, replaced or cut off.
        """
        status = self._status()
        if _identity(status) != self._identity:
            raise StoreError(
                f"Another file is at {str(self.path)!r}, where the store was opened, so nothing "
                f"more is stored: put the store's file back, or close the store. {self._pair()}"
            )
        if status.st_size < self._bytes:
            raise StoreError(
                f"Another program cut off the store's file {str(self.path)!r} after "
                f"{status.st_size:,} of {self._bytes:,} bytes, so nothing more is stored: "
                "restore the file from a backup."
            )
        if self._read_header() != self._header:
            raise StoreError(
                f"Another program wrote into the store's file {str(self.path)!r}, such as by "
                "copying another file over it, so nothing more is stored: restore the file, with "
                "its log, from a backup."
            )

    def log_bytes(self) -> int | None:
        """Return the size of the log; None if DuckDB's log isn't at its path, or was cut off."""
        try:
            status = self._log.stat()
        except OSError:
            return 0 if self._log_identity is None else None
        if self._log_identity is not None and _identity(status) != self._log_identity:
            return None
        return status.st_size if status.st_size >= self._log_bytes else None

    def note_commit(self) -> int | None:
        """Note the size of the log after a commit, and return it as `log_bytes` does."""
        size = self.log_bytes()
        if size and self._lock is not None:
            self._log_beginning = self._log_beginning or beginning_of(self._log)
            self._log_bytes = size
            self._lock.note_log(self._log_beginning, size)
        return size

    def is_changed(self) -> bool:
        """Return whether anything was written since the file was closed before."""
        return not self.unused or self.log_bytes() != 0

    def note_folded(self, *, new_log: bool) -> None:
        """Note the size of the file and its new log, if there is one, after a checkpoint."""
        self.unused = False
        self._bytes = self._status().st_size
        self._header = self._read_header()
        self._log_identity = _identity(self._log.stat()) if new_log else None
        self._log_beginning, self._log_bytes = b"", 0
        self.note_commit()

    def _read_header(self) -> bytes:
        return os.pread(self._descriptor, HEADER_BYTES, 0)

    def _status(self) -> os.stat_result:
        try:
            return self.path.stat()
        except OSError as error:
            raise StoreError(
                f"The store's file {str(self.path)!r} was moved or removed while it was open, so "
                "nothing more is stored: put it back at this path, or close the store. "
                f"{self._pair()}"
            ) from error

    def _pair(self) -> str:
        return (
            f"The last commits are in its log {str(self._log)!r}: keep it with the file, under the "
            "file's name and '.wal'."
        )


def own_descriptor(path: Path) -> int:
    """Return the descriptor with which DuckDB has the file open.

    Closing another descriptor of the file would drop DuckDB's lock.
    """
    wanted = path.stat()
    return next(number for number in _open_files() if _is(number, wanted))


def _open_files() -> Iterator[int]:
    yield from (int(name) for name in os.listdir("/dev/fd"))


def _is(number: int, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(number), wanted)
    except OSError:
        return False


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino
