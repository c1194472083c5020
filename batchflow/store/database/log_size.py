"""The size of a store's log after the last commit, noted at the beginning of its lock file.

DuckDB takes a log that was cut off after a commit for a shorter log. A note is written when its
commit is in the log, so no kill or power cut leaves a note of more than the log has. It contains
the beginning of the log too, because each checkpoint begins another log with a number of its own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from batchflow.errors import StoreError
from batchflow.store.database.new_file import log_of

# In DuckDB's first entry, the database's id and the number of the checkpoint are before this.
BEGINNING_BYTES: Final = 48
_NOTE: Final = re.compile(rb'\{"log_begins": "([0-9a-f]*) *", "log_bytes": +(\d+), ')


def note_of(beginning: bytes, size: int) -> bytes:
    """Return a note, which is the beginning of an object in JSON and always has one length."""
    begins = beginning.hex().ljust(2 * BEGINNING_BYTES)
    return f'{{"log_begins": "{begins}", "log_bytes": {size:>20}, '.encode()


NO_NOTE: Final = note_of(b"", 0)


def note_in(written: bytes) -> bytes:
    """Return the note in the content of a lock file."""
    found = _NOTE.match(written)
    return NO_NOTE if found is None else found[0]


def refuse_cut_log(path: Path, note: bytes) -> None:
    """Refuse a store whose log is shorter than it was after the last commit.

    Another log than that of the note, and none at all, are as they should be here.

    Raises:
        StoreError: The log was cut off.
    """
    log, found = log_of(path), _NOTE.match(note)
    if found is None or not log.exists():
        return
    beginning, committed = bytes.fromhex(found[1].decode()), int(found[2])
    size = log.stat().st_size
    if 0 < size < committed and beginning.startswith(beginning_of(log)):
        raise StoreError(
            f"The log {str(log)!r} of the store {str(path)!r} has {size:,} bytes, but had "
            f"{committed:,} after the last commit, so neither was changed: another program cut it "
            "off, or put an older copy in its place. Put the whole log back, or restore both files "
            f"from a backup. To accept the loss of these commits, remove '{path}.lock'."
        )


def beginning_of(log: Path) -> bytes:
    """Return what distinguishes a log from the one before."""
    with log.open("rb") as file:
        return file.read(BEGINNING_BYTES)
