"""Where DuckDB puts what doesn't fit in memory: folders that nobody else may look into.

DuckDB makes its files as the umask says, so it is the folder that keeps others out.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from batchflow.errors import DiskFullError, StoreError

_OWNER_ALONE: Final = 0o700
_DUCKDBS_FILES: Final = "duckdb_temp_*"
_PREFIX: Final = "batchflow-spill-"


class SpillFolder:
    """A folder for one store or reader, until `remove`.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path, lock: int | None = None) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def beside(cls, store: Path) -> SpillFolder:
        """Make ``<store>.tmp``, and clear it of what a killed process left; under the store's lock.

        Raises:
            StoreError: there is something else by that name, or it can't be made.
        """
        path = store.with_name(store.name + ".tmp")
        try:
            with contextlib.suppress(FileExistsError):
                path.mkdir(_OWNER_ALONE)
            _refuse_others(path)
            path.chmod(_OWNER_ALONE)
        except OSError as error:
            if error.errno in DiskFullError.numbers:
                raise DiskFullError(
                    f"There is no room left for the folder {str(path)!r} ({error.strerror}); make "
                    "room, then open the store again."
                ) from error
            raise StoreError(
                f"The folder {str(path)!r}, for what doesn't fit in memory, can't be made "
                f"({error.strerror}); give the store a path in a folder that you may write to."
            ) from error
        _clear(path)
        return cls(path)

    @classmethod
    def apart(cls) -> SpillFolder:
        """Make one in the system's temporary folder, for whoever may write nothing elsewhere."""
        _remove_abandoned()
        while True:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            lock = _locked(path)
            if lock is not None:
                return cls(path, lock)

    def remove(self) -> None:
        """Remove it, but for what isn't DuckDB's; a second call does nothing."""
        _remove(self.path)
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def _refuse_others(path: Path) -> None:
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
        return
    raise StoreError(
        f"{str(path)!r} is where the store puts what doesn't fit in memory, and it is no folder of "
        "yours; rename or remove it."
    )


def _clear(path: Path) -> None:
    for file in path.glob(_DUCKDBS_FILES):
        with contextlib.suppress(OSError):
            file.unlink()


def _remove(path: Path) -> None:
    _clear(path)
    with contextlib.suppress(OSError):
        path.rmdir()


def _remove_abandoned() -> None:
    """Remove the folders of this user's processes that were killed: nobody holds their locks."""
    for path in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid == os.geteuid():
                lock = _locked(path)
                if lock is not None:
                    _remove(path)
                    os.close(lock)


def _locked(path: Path) -> int | None:
    """Lock the folder until its descriptor is closed; None where it is gone, or another's."""
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
