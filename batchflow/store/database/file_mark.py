"""Whether a closed store's file may have changed."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from batchflow.store.database.lock import lock_of
from batchflow.store.database.new_file import log_of

FileMark: TypeAlias = tuple[tuple[int, ...] | None, ...]


def file_mark(path: Path) -> FileMark | None:
    """Return what stays the same until a store is opened to change it.

    Take it before you read the store: reading takes longer than the steps of the file system's
    clock, and nothing is written meanwhile. None if a process may have the store open.
    """
    if lock_of(path).exists():
        return None
    return _facts(path), _facts(log_of(path))


def _facts(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
