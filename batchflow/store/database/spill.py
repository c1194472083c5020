"""The folders where DuckDB puts what does not fit in memory; only their owner can read them.

DuckDB creates its files with the process's umask, so the folder has to keep other users out.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from batchflow.errors import DiskFullError, StoreError

_OWNER_ONLY: Final = 0o700
_DUCKDBS_FILES: Final = "duckdb_temp_*"
_PREFIX: Final = "batchflow-spill-"

DOWNLOADS: Final = "batchflow_download_"
"""How the names of folders with copies of files at URLs begin."""


class SpillFolder:
    """A folder for one store or reader, until `remove`.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path, lock: int | None = None) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def beside(cls, store: Path) -> SpillFolder:
        """Create ``<store>.tmp``, without what a killed process left; needs the store's lock.

        Raises:
            StoreError: Something else has that name, or the folder can't be created.
        """
        path = store.with_name(store.name + ".tmp")
        try:
            with contextlib.suppress(FileExistsError):
                path.mkdir(_OWNER_ONLY)
            _refuse_others(path)
            path.chmod(_OWNER_ONLY)
        except OSError as error:
            if error.errno in DiskFullError.numbers:
                raise DiskFullError(
                    f"No disk space is left for the folder {str(path)!r} ({error.strerror}); free "
                    "some, then open the store again."
                ) from error
            raise StoreError(
                f"The folder {str(path)!r}, for what does not fit in memory, can't be created "
                f"({error.strerror}); give the store a path where you have write permission."
            ) from error
        _clear(path)
        return cls(path)

    @classmethod
    def temporary(cls) -> SpillFolder:
        """Create a folder in the system's temporary folder, for readers and stores in memory."""
        _remove_abandoned()
        while True:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            lock = _locked(path)
            if lock is not None:
                return cls(path, lock)

    def remove(self) -> None:
        """Remove the folder, unless it has files that are not DuckDB's; may be called again."""
        _remove(self.path)
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def _refuse_others(path: Path) -> None:
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
        return
    raise StoreError(
        f"The store needs {str(path)!r} as a folder for what does not fit in memory, but it is not "
        "a folder of yours; rename or remove it."
    )


def _clear(path: Path) -> None:
    for file in path.glob(_DUCKDBS_FILES):
        with contextlib.suppress(OSError):
            file.unlink()
    for folder in path.glob(DOWNLOADS + "*"):
        shutil.rmtree(folder, ignore_errors=True)


def _remove(path: Path) -> None:
    _clear(path)
    with contextlib.suppress(OSError):
        path.rmdir()


def _remove_abandoned() -> None:
    """Remove the folders of this user's killed processes, which no process has locked."""
    for path in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid == os.geteuid():
                lock = _locked(path)
                if lock is not None:
                    _remove(path)
                    os.close(lock)


def _locked(path: Path) -> int | None:
    """Lock the folder until its descriptor is closed; None if it is gone or locked elsewhere."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        lock = os.open(path, flags)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(path.lstat(), os.fstat(lock)):
            return lock
    except OSError:
        pass
    os.close(lock)
    return None
