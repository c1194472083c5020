"""The folder with the copies of a rehearsal, in the system's folder for temporary files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Final

from batchflow.errors import EngineStateError

_PREFIX: Final = "batchflow-rehearsal-"


class CopiesFolder:
    """A folder that only its owner can read, until `remove`, or until nothing refers to this.

    It is locked meanwhile, as folders without a lock are those of killed processes.

    Attributes:
        path: The folder.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            lock = _locked(self.path)
            if lock is not None:
                break
        self._end = weakref.finalize(self, _remove, self.path, lock, os.getpid())

    def remove(self) -> None:
        """Remove the folder; a second call does nothing."""
        self._end()

    def require(self) -> None:
        """Raise EngineStateError if the folder was removed."""
        if not self._end.alive:
            raise EngineStateError(
                "This rehearsal was promoted or closed, so its copies are removed; rehearse again."
            )


def _remove(path: Path, lock: int, owner: int) -> None:
    # A forked child has the folder's object as well, and its parent still needs the folder.
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _remove_abandoned() -> None:
    """Remove the folders of processes that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        lock = _locked(path)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _locked(path: Path) -> int | None:
    """Lock a folder of this user's and return the lock; None if it is in use or gone."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(lock)
        if found.st_uid == os.geteuid() and os.path.samestat(path.lstat(), found):
            return lock
    os.close(lock)
    return None
