"""Opening a store's file: created if it does not exist, refused untouched if it is not a store."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import duckdb

from batchflow.errors import StoreError, StoreFormatError, StoreHeldError
from batchflow.store.database.checkpoint import journal_of, repair
from batchflow.store.database.file_format import check_header, create_header, not_a_store
from batchflow.store.database.instance import Cursor, Settings, connect, open_instance
from batchflow.store.database.lock import held_error, holder_by_duckdb, noted_log
from batchflow.store.database.log_mark import refuse_lost_log
from batchflow.store.database.log_size import beginning_of, refuse_cut_log
from batchflow.store.database.new_file import create_file, log_of, remove_unfinished
from batchflow.store.database.open_file import HEADER_BYTES
from batchflow.store.database.store_error import clause_of, store_error_of

ResultT = TypeVar("ResultT")

_MAGIC: Final = b"DUCK"
_MAGIC_OFFSET: Final = 8
_LOG_ERROR: Final = "replaying WAL"
_LOG_OF_ANOTHER: Final = ("WAL does not match", "checkpoint iteration does not match")
_READER_WAIT_SECONDS: Final = 3.0
_READER_POLL_SECONDS: Final = 0.02
# A log begins with the size of its first entry.
_SIZE_BYTES: Final = 8


def open_memory(now: datetime, settings: Settings) -> Cursor:
    """Open a store that exists only in this process's memory."""
    root = connect(":memory:", settings)
    _write_first(root, now)
    return root


def open_file(path: Path, now: datetime, settings: Settings) -> Cursor:
    """Open the store at its real path, and create it if there is none.

    Raises:
        StoreFormatError: The file is not a store, or has a newer format; it is left as it was.
    """
    if "?" in str(path):
        # DuckDB reads the rest as the query of a URL, and puts its log elsewhere.
        raise StoreError(f"DuckDB can't keep a store at {str(path)!r}: the path contains '?'.")
    remove_unfinished(path)
    if not os.path.lexists(path):
        return _checked(_created(path, now, settings), path)
    _after_readers(lambda: _check_bytes(path))
    repair(path)
    _check_log(path)
    return _checked(_after_readers(lambda: _connect(path, settings)), path)


def create_files(
    files: Mapping[Path, Callable[[Cursor], None]], now: datetime, schemas: Container[str]
) -> None:
    """Create the files of several stores, complete and closed.

    One instance of DuckDB creates all of them, as it takes longer to open than a file to create.

    Args:
        files: For each path what to write after the header, within the same transaction.
        now: When they are created.
        schemas: The names of the schemas that this creates.
    """
    root = open_instance(Settings())
    try:
        for path, write in files.items():
            first = partial(_write_first, now=now, write=write)
            with _creating(path):
                create_file(path, root, first, schemas)
    finally:
        root.close()


def reopen_file(path: Path, settings: Settings) -> Cursor:
    """Open the store that this process had open until now.

    Raises:
        StoreFormatError: The file is gone, or has changed.
    """
    _check_bytes(path)
    repair(path)
    _check_log(path)
    return _checked(_connect(path, settings), path)


def open_read_only(path: Path, spill_folder: str) -> Cursor:
    """Open the store at its real path without changing anything, including the log of a crash.

    Raises:
        StoreFormatError: There is no file, or it is not a store.
    """
    if not path.exists():
        raise StoreFormatError(f"There is no store at {str(path)!r}; give the path of a store.")
    _check_bytes(path, read_only=True)
    root = _checked(_connect(path, Settings(read_only=True, spill_folder=spill_folder)), path)
    try:
        # Only now no engine can be writing.
        _check_log(path)
    except BaseException:
        root.close()
        raise
    return root


def _check_log(path: Path) -> None:
    # While the journal exists, the log may have just begun, and the note is of the one before.
    if not journal_of(path).exists():
        refuse_cut_log(path, noted_log(path))


def _checked(root: Cursor, path: Path) -> Cursor:
    try:
        _refuse_log_of_another_name(path)
        _check_length(root, path)
        check_header(root, path)
        if not _has_log(path):
            refuse_lost_log(root, path)
    except BaseException:
        root.close()
        raise
    return root


def _has_log(path: Path) -> bool:
    # While the journal exists, a checkpoint has replaced the log, and the next isn't begun.
    log = log_of(path)
    # DuckDB takes a log whose first entry has the size zero for an empty one.
    return journal_of(path).exists() or (log.exists() and any(beginning_of(log)[:_SIZE_BYTES]))


def _created(path: Path, now: datetime, settings: Settings) -> Cursor:
    def create(root: Cursor) -> None:
        create_file(path, root, partial(_write_first, now=now))

    with _creating(path):
        return connect(str(path), settings, first=create)


def _write_first(
    root: Cursor, now: datetime, write: Callable[[Cursor], None] | None = None
) -> None:
    """Write the header of a store, and more, in one transaction."""
    root.begin()
    create_header(root, now)
    if write is not None:
        write(root)
    root.commit()


@contextmanager
def _creating(path: Path) -> Iterator[None]:
    """Raise a StoreError that names the path for an error of DuckDB within the block."""
    try:
        yield
    except duckdb.Error as error:
        raise store_error_of(error) or StoreError(
            f"The store {str(path)!r} can't be created: {clause_of(error)}."
        ) from error


def _refuse_log_of_another_name(path: Path) -> None:
    """Refuse a hard link when the log of a crash is beside another name of the file."""
    if path.stat().st_nlink == 1:
        return
    for other in path.parent.iterdir():
        if other != path and other.is_file() and other.samefile(path) and log_of(other).exists():
            raise StoreError(
                f"The store {str(path)!r} was written under its other name {str(other)!r}, and "
                "its log is there; open it by that name."
            )


def _check_bytes(path: Path, *, read_only: bool = False) -> None:
    """Refuse anything but a DuckDB file: for a SQLite file DuckDB would download an extension."""
    if not path.is_file():
        raise StoreFormatError(f"{str(path)!r} is not a file; give the path of a store.")
    modes = _own_modes(path)
    if modes and read_only and modes <= {os.O_RDONLY}:
        # Another reader of this process has checked it, and shares its lock with this one.
        return
    if modes:
        raise held_error(path, {"pid": os.getpid(), "host": os.uname().nodename})
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if head.startswith(b"SQLite format 3\0"):
        raise not_a_store(path, "it is a SQLite database")
    if head[_MAGIC_OFFSET : _MAGIC_OFFSET + len(_MAGIC)] != _MAGIC:
        raise not_a_store(path, "it is not a DuckDB file")
    if len(head) < HEADER_BYTES:
        raise not_a_store(path, f"it is cut off after {len(head)} bytes")


def _own_modes(path: Path) -> set[int]:
    """Return how this process already has the file open: O_RDONLY, O_RDWR, neither or both."""
    # Opening and closing the file here would drop the lock of a connection that the user's own
    # code has in this process. Without /proc, DuckDB's own refusal has to suffice.
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        return set()
    return {
        fcntl.fcntl(int(descriptor.name), fcntl.F_GETFL) & os.O_ACCMODE
        for descriptor in descriptors.iterdir()
        if descriptor.exists() and descriptor.samefile(path)
    }


def _after_readers(action: Callable[[], ResultT]) -> ResultT:
    # The caller has the store's lock, so whatever else has the file open only reads, mostly for
    # one query, in another process or in this one.
    deadline = time.monotonic() + _READER_WAIT_SECONDS
    while True:
        try:
            return action()
        except StoreHeldError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_READER_POLL_SECONDS)


def _connect(path: Path, settings: Settings) -> Cursor:
    try:
        return connect(str(path), settings)
    except duckdb.InvalidInputException as error:
        raise StoreError(f"The store {str(path)!r} can't be opened: {clause_of(error)}.") from error
    except duckdb.Error as error:
        store_error = store_error_of(error)
        if store_error is not None:
            raise store_error from error
        if not settings.read_only and path.exists() and not os.access(path, os.W_OK):
            raise StoreError(
                f"The store {str(path)!r} can't be written ({clause_of(error)}); open it where you "
                "have write permission, or only read it with connect()."
            ) from error
        if _LOG_ERROR in str(error):
            raise _wrong_log(path, error) from error
        if isinstance(error, duckdb.ResourceInUseException):
            raise held_error(path, {"pid": os.getpid(), "host": os.uname().nodename}) from error
        if "lock" in str(error) and isinstance(error, duckdb.IOException):
            raise held_error(path, holder_by_duckdb(path, str(error))) from error
        raise not_a_store(
            path, f"DuckDB {duckdb.__version__} can't read it ({clause_of(error)})"
        ) from error


def _wrong_log(path: Path, error: duckdb.Error) -> StoreError:
    file, log = repr(str(path)), repr(str(log_of(path)))
    if any(reason in str(error) for reason in _LOG_OF_ANOTHER):
        return StoreError(
            f"The log {log} belongs to another file than {file}, or to an older or newer copy of "
            "it, so neither was changed: put the file and its own log together. If the file needs "
            "no log, move this one away."
        )
    return StoreError(
        f"The log {log} of the store {file} can't be read ({clause_of(error)}), so neither was "
        "changed: restore both from a backup, or cut the log off where it is damaged, with "
        "'batchflow repair'."
    )


def _check_length(root: Cursor, path: Path) -> None:
    # DuckDB counts free blocks at the end of the file, although it cuts them off.
    blocks, block_bytes = root.execute(
        "SELECT used_blocks, block_size FROM pragma_database_size() "
        "WHERE database_name = current_database()"
    ).fetchall()[0]
    expected, found = HEADER_BYTES + blocks * block_bytes, path.stat().st_size
    if found < expected:
        raise not_a_store(path, f"it is cut off after {found:,} of at least {expected:,} bytes")
