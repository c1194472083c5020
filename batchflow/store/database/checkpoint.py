"""Checkpoints: folding DuckDB's log into its file, safely against kills and power cuts.

A checkpoint writes new blocks beside the old ones and the header last, so until then the file is
what it was before, with one exception: DuckDB rewrites in place the blocks of metadata that the old
header refers to, and a half-written block makes the file unreadable. So a journal keeps these
blocks and the header during a checkpoint, and `repair` restores them if the checkpoint did not
finish. Everything committed since is still in the log, which DuckDB then replays.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Final

import duckdb

from batchflow import crash_point
from batchflow.store.database.instance import Cursor
from batchflow.store.database.log_mark import mark, unmark
from batchflow.store.database.open_file import HEADER_BYTES, OpenFile, own_descriptor
from batchflow.store.database.sync import sync

_COUNTS: Final = struct.Struct("<qq")
_DIGEST_BYTES: Final = 16


def checkpoint(cursor: Cursor, file: OpenFile | None, *, last: bool = False) -> None:
    """Fold the log into the file, unless a query still reads what was there before.

    Args:
        cursor: The cursor of the thread that has the write lock.
        file: The file; None for a store in memory, where a checkpoint frees old values.
        last: Whether the file is closed afterwards, and needs no other log.

    Raises:
        StoreError: The file isn't in place.
        duckdb.Error, OSError: The checkpoint failed. What was committed is in the log. The journal
            stays for `repair`, as DuckDB may have stopped in the middle.
    """
    if file is None:
        _fold(cursor)
        return
    file.check()
    if file.marked:
        unmark(cursor, file)
    if not last:
        mark(cursor, file)
    _write(journal_of(file.path), _saved(cursor, file.path))
    folded = _fold(cursor)
    if not last:
        unmark(cursor, file)
    if folded:
        file.note_folded(new_log=not last)
    journal_of(file.path).unlink()


def _fold(cursor: Cursor) -> bool:
    """Execute DuckDB's checkpoint; False if a query prevents it."""
    crash_point.reached("at_checkpoint")
    try:
        cursor.execute("CHECKPOINT")
    except duckdb.TransactionException:
        return False
    return True


def repair(path: Path) -> None:
    """Restore what an unfinished checkpoint overwrote, in a file that no process has open.

    If the checkpoint finished, its journal stays until the next one: it explains why there may be
    no log.
    """
    journal = journal_of(path)
    if not journal.exists():
        return
    saved = _read(journal)
    if saved and not _restored(path, saved):
        return
    journal.unlink()


def _restored(path: Path, saved: dict[int, bytes]) -> bool:
    """Write back what was saved; False if the header differs, as the checkpoint finished."""
    with path.open("r+b") as file:
        if file.read(HEADER_BYTES) != saved[0]:
            return False
        for offset, block in saved.items():
            file.seek(offset)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return True


def journal_of(path: Path) -> Path:
    """Return the path of a store's journal, which exists during a checkpoint."""
    return path.with_name(path.name + ".checkpoint")


def _saved(cursor: Cursor, path: Path) -> dict[int, bytes]:
    """Return the header and the blocks of metadata, by their offset in the file."""
    [(size,)] = cursor.execute(
        "SELECT block_size FROM pragma_database_size() WHERE database_name = current_database()"
    ).fetchall()
    blocks = cursor.execute("SELECT block_id FROM pragma_metadata_info()").fetchall()
    file = own_descriptor(path)
    saved = {0: os.pread(file, HEADER_BYTES, 0)}
    for (block,) in blocks:
        offset = HEADER_BYTES + block * size
        saved[offset] = os.pread(file, size, offset)
    return saved


def _write(journal: Path, saved: dict[int, bytes]) -> None:
    content = b"".join(
        _COUNTS.pack(offset, len(block)) + block for offset, block in sorted(saved.items())
    )
    # Always a new file, so that nothing is written through a link that is in its place.
    journal.unlink(missing_ok=True)
    descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_digest(content) + content)
        file.flush()
        os.fsync(file.fileno())
    sync(journal.parent)


def _read(journal: Path) -> dict[int, bytes]:
    """Return what was saved; nothing if the checkpoint had not begun."""
    written = journal.read_bytes()
    digest, content = written[:_DIGEST_BYTES], written[_DIGEST_BYTES:]
    if digest != _digest(content):
        return {}
    saved, at = {}, 0
    while at < len(content):
        offset, size = _COUNTS.unpack_from(content, at)
        at += _COUNTS.size
        saved[offset] = content[at : at + size]
        at += size
    return saved


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
