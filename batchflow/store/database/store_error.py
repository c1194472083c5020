"""Errors of DuckDB about the store itself, rather than about the statement that met them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

import duckdb

from batchflow.errors import CommitError, DiskFullError, StoreError
from batchflow.store.database.duckdb_message import message_of

_DISK_ERRORS = frozenset({errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE})
# DuckDB's limit on the temporary files of a load's source: most of the free disk space.
_CAP_ON_TEMPORARY_FILES = "max_temp_directory_size"
_INVALIDATING = (duckdb.FatalException, duckdb.InternalException)
_DAMAGED = "Corrupt database file"
_INVALIDATED = "has been invalidated"


def store_error_of(error: duckdb.Error) -> StoreError | None:
    """Return the error to raise if other statements would fail too; None if they might not."""
    if _names_error(error, DiskFullError.numbers) or _CAP_ON_TEMPORARY_FILES in str(error):
        return DiskFullError(
            f"No disk space is left for the store: {clause_of(error)}. Free some, then run again: "
            "committed results are kept, and no commit is stored partially."
        )
    if is_invalidated(error):
        return StoreError(
            f"DuckDB can't continue with the store: {clause_of(error)}. Run again: this opens the "
            "store again, with everything that was committed."
        )
    return None


def damaged_file(path: str, found: str) -> StoreError:
    """Return the error to raise where the file itself can't be read, whatever its log is like."""
    return StoreError(
        f"The store's file {path!r} is damaged ({found}), and 'batchflow repair' can only mend "
        "its log: restore the file from a backup."
    )


def is_damage(found: str) -> bool:
    """Return whether DuckDB found a block of the file damaged."""
    return _DAMAGED in found


def is_invalidated(error: duckdb.Error) -> bool:
    """Return whether the database has to be opened again before it can be used."""
    return isinstance(error, _INVALIDATING) or _INVALIDATED in str(error)


def refused_commit(error: duckdb.Error) -> StoreError:
    """Return the error to raise for a refused COMMIT.

    It is a CommitError only if a smaller commit may succeed.
    """
    if isinstance(error, duckdb.IOException) or _names_error(error, _DISK_ERRORS):
        return store_error_of(error) or StoreError(
            f"The store's disk failed during a commit: {clause_of(error)}. Check the disk, then "
            "run again: the store has the whole commit, or nothing of it."
        )
    return store_error_of(error) or CommitError(
        f"DuckDB refused a commit, and nothing of it is stored: {clause_of(error)}. Run again, as "
        "a conflict passes."
    )


def clause_of(error: duckdb.Error) -> str:
    """Return DuckDB's message on one line, without its advice and without a full stop."""
    return message_of(error).rstrip(".")


def _names_error(error: duckdb.Error, numbers: Iterable[int]) -> bool:
    # DuckDB passes on no error number, only the C library's text for it, in the system's language.
    return any(os.strerror(number) in str(error) for number in numbers)
