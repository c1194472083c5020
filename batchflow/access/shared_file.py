"""One store's file in this process: read by many calls at a time, or changed by one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakValueDictionary

from batchflow.errors import StoreHeldError
from batchflow.store.read_only_store import ReadOnlyStore

_PATIENCE_SECONDS: Final = 10.0

# Shared by all clients of the process: DuckDB opens a file once in a process, and drops the lock on
# it where the process opens and closes it once more.
_FILES: WeakValueDictionary[str, SharedFile] = WeakValueDictionary()
_FINDING = threading.Lock()


class SharedFile:
    """Coordinates the calls of this process on one closed file.

    Args:
        path: The store's real path.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._reader: ReadOnlyStore | None = None
        self._readers = 0
        self._writing = False

    @classmethod
    def at(cls, path: str) -> SharedFile:
        """Return the one for a path in this process."""
        with _FINDING:
            found = _FILES.get(path)
            # A forked child starts anew: what the parent's threads held is never released there.
            if found is None or found._pid != os.getpid():
                found = _FILES[path] = cls(path)
            return found

    @contextmanager
    def reading(self) -> Iterator[ReadOnlyStore]:
        """Open the file to read it, or share it with the calls that read it already."""
        with self._changed:
            self._wait_until(lambda: not self._writing)
            reader = self._reader = self._reader or ReadOnlyStore(self._path)
            self._readers += 1
        try:
            yield reader
        finally:
            with self._changed:
                self._readers -= 1
                if not self._readers:
                    self._reader = None
                    reader.close()
                    self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep all other calls of this process away from the file."""
        with self._changed:
            self._wait_until(lambda: not self._writing and not self._readers)
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()

    def _wait_until(self, is_free: Callable[[], bool]) -> None:
        if not self._changed.wait_for(is_free, _PATIENCE_SECONDS):
            raise StoreHeldError(
                f"Another call of this process reads or changes the store {self._path!r}; read a "
                "stream of rows to its end, or drop it, then repeat the call.",
                path=self._path,
            )


os.register_at_fork(after_in_child=_FINDING._at_fork_reinit)  # type: ignore[attr-defined]
