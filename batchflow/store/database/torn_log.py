"""Cutting a log off that a power cut has torn, where DuckDB reports the damage.

A disk may write the pages of a log in another order than DuckDB did. After a power cut, a page in
the middle may be missing, and DuckDB refuses the log. All commits before that page are whole.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from batchflow.errors import StoreError, StoreFormatError
from batchflow.store.database.checkpoint import repair as finish_checkpoint
from batchflow.store.database.instance import Cursor, Settings, connect
from batchflow.store.database.lock import StoreLock
from batchflow.store.database.log_size import beginning_of
from batchflow.store.database.new_file import log_of
from batchflow.store.database.spill import SpillFolder
from batchflow.store.database.store_error import clause_of, damaged_file, is_damage
from batchflow.store.database.sync import sync

# The damage as DuckDB reports it.
_DAMAGED: Final = re.compile(r"Corrupt WAL file: entry at byte position (\d+)")
# Each attempt cuts at an earlier byte; one is enough unless several pages are missing.
_MOST_ATTEMPTS: Final = 100


@dataclass(frozen=True)
class RepairReport:
    """The report of a repair.

    Attributes:
        log_bytes_before: The size of the log as it was found.
        log_bytes: Its size now; the same if it wasn't damaged.
        kept_as: Where the whole log is kept; None if it wasn't damaged.
        last_change_at: The time of the last change of a run that the store has; None without one.
    """

    log_bytes_before: int
    log_bytes: int
    kept_as: str | None
    last_change_at: datetime | None

    @property
    def lost_bytes(self) -> int:
        """The size of the part of the log that was lost."""
        return self.log_bytes_before - self.log_bytes

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return {**asdict(self), "lost_bytes": self.lost_bytes}

    def __str__(self) -> str:
        if not self.lost_bytes:
            return "The log isn't damaged, and nothing was changed."
        last = f"The last change of a run that is left is of {self.last_change_at}. "
        return (
            f"The log was cut off after {self.log_bytes:,} of {self.log_bytes_before:,} bytes, and "
            f"the commits in the rest are lost. {last if self.last_change_at else ''}"
            f"The whole log is kept as {self.kept_as!r}."
        )


def repair_log(path: Path, now: datetime) -> RepairReport:
    """Cut the log of a store off where DuckDB reports that it is damaged, and keep a copy.

    Raises:
        StoreHeldError: A process has the store open.
        StoreFormatError: There is no such file.
        StoreError: The store can't be opened for another reason; nothing was changed, but for a
            checkpoint that was finished.
    """
    if not path.is_file():
        raise StoreFormatError(f"There is no store {str(path)!r}; give the path of one.")
    lock = StoreLock.acquire(path, now, for_one_call=True)
    spill = SpillFolder.temporary()
    try:
        finish_checkpoint(path)
        return _repaired(path, lock, Settings(read_only=True, spill_folder=str(spill.path)))
    finally:
        spill.remove()
        lock.release()


def _repaired(path: Path, lock: StoreLock, settings: Settings) -> RepairReport:
    log, kept = log_of(path), None
    before = log.stat().st_size if log.exists() else 0
    for _ in range(_MOST_ATTEMPTS):
        found = _opened(path, settings)
        if not isinstance(found, int):
            if kept is not None:
                # Otherwise the log would be refused, as it is shorter than noted.
                lock.note_log(beginning_of(log), log.stat().st_size)
            size = log.stat().st_size if log.exists() else 0
            return RepairReport(before, size, kept, _last_change(found, path))
        kept = kept or _copy(log)
        _cut(log, found)
    raise StoreError(
        f"The log {str(log)!r} is damaged in more than {_MOST_ATTEMPTS} places. It was kept as "
        f"{kept!r}: restore a backup."
    )


def _opened(path: Path, settings: Settings) -> Cursor | int:
    """Return the store, opened to be read, or the byte at which its log is damaged."""
    try:
        return connect(str(path), settings)
    except duckdb.Error as error:
        damaged = _DAMAGED.search(str(error))
        if is_damage(str(error)):
            raise damaged_file(str(path), clause_of(error)) from error
        if damaged is None:
            raise StoreError(
                f"The store {str(path)!r} can't be opened ({clause_of(error)}), and its log isn't "
                "torn, so nothing was changed: restore a backup."
            ) from error
        return int(damaged[1])


def _copy(log: Path) -> str:
    """Copy a log, and return the path of the copy, which is in no other file's place."""
    number = 1
    while (kept := log.with_name(f"{log.name}.damaged-{number}")).exists():
        number += 1
    shutil.copy2(log, kept)
    sync(kept)
    return str(kept)


def _cut(log: Path, size: int) -> None:
    os.truncate(log, size)
    sync(log)


def _last_change(root: Cursor, path: Path) -> datetime | None:
    try:
        names = root.execute("SELECT name FROM batchflow.workflows").fetchall()
        moments = [
            root.execute(f'SELECT max(updated_at) FROM "{name}".runs').fetchall()[0][0]
            for (name,) in names
        ]
    except duckdb.Error as error:
        if not is_damage(str(error)):
            raise
        raise damaged_file(str(path), clause_of(error)) from error
    finally:
        root.close()
    return max((each for each in moments if each is not None), default=None)
