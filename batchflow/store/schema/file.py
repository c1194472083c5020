"""The database file: created whole or not at all, and opened only where it is a store of ours."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import duckdb

from batchflow.errors import StoreError, StoreFormatError, StoreHeldError
from batchflow.store.database.checkpoint import HEADER_BYTES, repair
from batchflow.store.database.instance import Cursor, Settings, connect
from batchflow.store.database.lock import held_error, holder_by_duckdb
from batchflow.store.database.store_error import clause_of, store_error_of
from batchflow.store.schema.layout import FORMAT_VERSION

MAGIC = b"DUCK"
MAGIC_OFFSET = 8
READERS_SECONDS = 3.0
READERS_LOOK_SECONDS = 0.02
CREATE_HEADER = """
CREATE SCHEMA batchflow;
CREATE TABLE batchflow.store(
    format_version INTEGER, batchflow_version VARCHAR, created_at TIMESTAMPTZ
);
CREATE TABLE batchflow.workflows(name VARCHAR, run_id_base UHUGEINT, next_seq BIGINT);
"""


def open_memory(now: datetime, settings: Settings) -> Cursor:
    """Open a store that lives in this process's memory alone."""
    root = connect(":memory:", settings)
    _create_header(root, now)
    return root


def open_file(path: Path, now: datetime, settings: Settings) -> Cursor:
    """Open the store at its real path, and create it where there is none.

    Raises StoreFormatError where the file is anything else; it is then left as it was.
    """
    if "?" in str(path):
        # DuckDB takes what follows for the query of a URL, and puts its log elsewhere.
        raise StoreError(f"The path {str(path)!r} has a '?', which DuckDB can't keep a store at.")
    _remove_cradle(path)
    if os.path.lexists(path):
        _check_bytes(path)
        repair(path)
    else:
        _create(path, now, settings)
    return _checked(_connect_after_readers(path, settings), path)


def reopen_file(path: Path, settings: Settings) -> Cursor:
    """Open the store that this process has had open until now.

    Raises StoreFormatError where it is gone, or isn't what it was.
    """
    _check_bytes(path)
    repair(path)
    return _checked(_connect(path, settings), path)


def open_read_only(path: Path, spill_folder: str) -> Cursor:
    """Open the store at its real path without changing anything, the log of a crash included.

    Raises StoreFormatError where there is no file, or one that is anything else.
    """
    if not path.exists():
        raise StoreFormatError(f"There is no store {str(path)!r}; give the path of one.")
    _check_bytes(path, read_only=True)
    return _checked(_connect(path, Settings(read_only=True, spill_folder=spill_folder)), path)


def _checked(root: Cursor, path: Path) -> Cursor:
    try:
        _refuse_log_by_another_name(path)
        _check_length(root, path)
        _check_header(root, path)
    except BaseException:
        root.close()
        raise
    return root


def _create(path: Path, now: datetime, settings: Settings) -> None:
    # A crash in a DuckDB file's very first writes leaves one that can't be opened.
    _refuse_orphaned_log(path)
    cradle = _cradle_of(path)
    cradle.mkdir(0o700)
    unborn = cradle / path.name
    try:
        with closing(_connect(unborn, settings)) as root:
            _create_header(root, now)
            root.execute("CHECKPOINT")
        unborn.rename(path)
    except duckdb.Error as error:
        raise store_error_of(error) or StoreError(
            f"The store {str(path)!r} can't be made: {clause_of(error)}."
        ) from error
    finally:
        _remove_cradle(path)
    _sync_folder(path.parent)


def _cradle_of(path: Path) -> Path:
    """Return the folder, its owner's alone, in which the store is until it is whole."""
    return path.with_name(path.name + ".new")


def _remove_cradle(path: Path) -> None:
    cradle = _cradle_of(path)
    if cradle.is_dir() and not cradle.is_symlink():
        for leftover in (cradle / path.name, _log_of(cradle / path.name)):
            leftover.unlink(missing_ok=True)
        cradle.rmdir()
    else:
        cradle.unlink(missing_ok=True)


def _refuse_orphaned_log(path: Path) -> None:
    log = _log_of(path)
    if log.exists():
        raise StoreFormatError(
            f"There is a log {str(log)!r} but no store {str(path)!r} that it belongs to: "
            "put the store back, or remove the log if its runs aren't wanted."
        )


def _refuse_log_by_another_name(path: Path) -> None:
    """Refuse a hard link where what a crash left in the log lies beside another name."""
    if path.stat().st_nlink == 1:
        return
    for other in path.parent.iterdir():
        if other != path and other.is_file() and other.samefile(path) and _log_of(other).exists():
            raise StoreError(
                f"The store {str(path)!r} was written by its other name {str(other)!r}, beside "
                "which its log lies; open it by that name."
            )


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create_header(root: Cursor, now: datetime) -> None:
    root.begin()
    root.execute(CREATE_HEADER)
    root.execute("INSERT INTO batchflow.store VALUES (?, ?, ?)", [FORMAT_VERSION, _version(), now])
    root.commit()


def _version() -> str:
    try:
        return importlib.metadata.version("batchflow-engine")
    except importlib.metadata.PackageNotFoundError:  # a source tree that isn't installed
        return "unknown"


def _check_bytes(path: Path, *, read_only: bool = False) -> None:
    """Refuse what isn't a DuckDB file before DuckDB sees it: a SQLite file makes it download."""
    if not path.is_file():
        raise StoreFormatError(f"{str(path)!r} is no file; give the path of a store.")
    modes = _own_modes(path)
    if modes and read_only and modes <= {os.O_RDONLY}:
        # Another reader of this process has looked, and shares its lock with us.
        return
    if modes:
        raise held_error(path, {"pid": os.getpid(), "host": os.uname().nodename})
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if head.startswith(b"SQLite format 3\0"):
        raise _not_a_store(path, "it is a SQLite database")
    if head[MAGIC_OFFSET : MAGIC_OFFSET + len(MAGIC)] != MAGIC:
        raise _not_a_store(path, "it is no DuckDB file")
    if len(head) < HEADER_BYTES:
        raise _not_a_store(path, f"it is cut off after {len(head)} bytes")


def _own_modes(path: Path) -> set[int]:
    """Return how this process has the file open already: O_RDONLY, O_RDWR, neither or both."""
    # Opening and closing the file here would drop the lock of a connection that the user's own
    # code has in this process. Where there is no /proc, DuckDB's refusal below has to do.
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        return set()
    return {
        fcntl.fcntl(int(descriptor.name), fcntl.F_GETFL) & os.O_ACCMODE
        for descriptor in descriptors.iterdir()
        if descriptor.exists() and descriptor.samefile(path)
    }


def _connect_after_readers(path: Path, settings: Settings) -> Cursor:
    # Whoever holds it beside our own lock only reads: mostly one question, asked at this moment.
    deadline = time.monotonic() + READERS_SECONDS
    while True:
        try:
            return _connect(path, settings)
        except StoreHeldError:
            if time.monotonic() > deadline:
                raise
        time.sleep(READERS_LOOK_SECONDS)


def _connect(path: Path, settings: Settings) -> Cursor:
    try:
        return connect(str(path), settings)
    except duckdb.InvalidInputException as error:
        raise StoreError(f"The store {str(path)!r} can't be opened: {clause_of(error)}.") from error
    except duckdb.Error as error:
        trouble = store_error_of(error)
        if trouble is not None:
            raise trouble from error
        if not settings.read_only and path.exists() and not os.access(path, os.W_OK):
            raise StoreError(
                f"The store {str(path)!r} can't be written ({clause_of(error)}); open it where you "
                "may write to it, or only to read, with connect()."
            ) from error
        if "lock" in str(error) and isinstance(error, duckdb.IOException):
            raise held_error(path, holder_by_duckdb(path, str(error))) from error
        raise _not_a_store(
            path, f"DuckDB {duckdb.__version__} can't read it ({clause_of(error)})"
        ) from error


def _check_length(root: Cursor, path: Path) -> None:
    # Free blocks at its end are counted by DuckDB, and yet cut off the file.
    blocks, block_bytes = root.execute(
        "SELECT used_blocks, block_size FROM pragma_database_size() "
        "WHERE database_name = current_database()"
    ).fetchall()[0]
    expected, found = HEADER_BYTES + blocks * block_bytes, path.stat().st_size
    if found < expected:
        raise _not_a_store(path, f"it is cut off after {found:,} of at least {expected:,} bytes")


def _check_header(root: Cursor, path: Path) -> None:
    try:
        versions = root.execute("SELECT format_version FROM batchflow.store").fetchall()
    except duckdb.CatalogException:
        raise _not_a_store(path, "it is a DuckDB file that batchflow didn't make") from None
    except duckdb.Error as error:
        raise _not_a_store(path, f"its header can't be read ({clause_of(error)})") from error
    if versions != [(FORMAT_VERSION,)]:
        found = versions[0][0] if versions else "none"
        raise StoreFormatError(
            f"The store {str(path)!r} has format {found} and this batchflow reads format "
            f"{FORMAT_VERSION}: open it with the batchflow that made it, or a newer one."
        )


def _not_a_store(path: Path, because: str) -> StoreFormatError:
    return StoreFormatError(
        f"{str(path)!r} is no batchflow store: {because}. Give the path of a store, or of no file."
    )
