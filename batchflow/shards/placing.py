"""Putting the files of a set in place, so that a kill leaves all of them or none.

They are made in a folder of their own. When all are complete, the folder gets another name: from
then on they are the set, and the next process that opens it moves them to their places.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from batchflow import crash_point
from batchflow.errors import StoreHeldError
from batchflow.shards.pattern import Pattern
from batchflow.store.database.lock import StoreLock
from batchflow.store.database.new_file import log_of
from batchflow.store.database.sync import sync

_ABOUT: Final = "shards.json"
# A set of a thousand shards takes that long to create.
_PATIENCE_SECONDS: Final = 60.0


@contextmanager
def set_locked(pattern: Pattern, now: datetime) -> Iterator[None]:
    """Keep all others from creating or replacing the files of a set, and finish what one began.

    Files that a killed process left incomplete are removed.

    Raises:
        StoreHeldError: Another process has been doing so for a minute.
    """
    lock = _locked(pattern, now)
    try:
        finish_placing(pattern)
        _remove_incomplete(pattern)
        yield
    finally:
        lock.release()


def _locked(pattern: Pattern, now: datetime) -> StoreLock:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return StoreLock.acquire(Path(pattern.text), now, for_one_call=True)
        except StoreHeldError:
            if time.monotonic() > deadline:
                raise


def place(pattern: Pattern, shards: int, make: Callable[[Path], None]) -> None:
    """Make the files of a set and put them in place of those that there are.

    Args:
        pattern: Their names; `set_locked` is held.
        shards: Their number.
        make: Makes all of them, with their names, in a folder that it is given.
    """
    building = pattern.building
    building.mkdir(0o700)
    try:
        make(building)
    except BaseException:
        _remove_incomplete(pattern)
        raise
    (building / _ABOUT).write_text(json.dumps({"shards": shards}))
    for each in building.iterdir():
        sync(each)
    sync(building)
    crash_point.reached("within_placing")
    building.rename(pattern.ready)
    sync(pattern.folder)
    finish_placing(pattern)


def _remove_incomplete(pattern: Pattern) -> None:
    shutil.rmtree(pattern.building, ignore_errors=True)


def finish_placing(pattern: Pattern) -> None:
    """Move files that are complete to their places, and remove what they replace."""
    ready = pattern.ready
    if not ready.is_dir():
        return
    about = ready / _ABOUT
    if about.exists():
        shards = int(json.loads(about.read_text())["shards"])
        for number in range(1, shards + 1):
            crash_point.reached("within_placing")
            made = ready / pattern.file(number)
            if made.exists():
                log_of(pattern.path(number)).unlink(missing_ok=True)
                made.replace(pattern.path(number))
        for number, path in pattern.found().items():
            if number > shards:
                for belonging in (log_of(path), path.with_name(f"{path.name}.lock")):
                    belonging.unlink(missing_ok=True)
                path.unlink()
        sync(pattern.folder)
    shutil.rmtree(ready)
