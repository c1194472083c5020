"""What an error of DuckDB's says about the store, rather than about the statement that met it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

import duckdb

from batchflow.errors import CommitError, DiskFullError, StoreError
from batchflow.store.database.duckdb_message import message_of

_NO_DISK = frozenset({errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE})
# What DuckDB keeps the temporary files of a load's source below: most of what the disk has left.
_CAP_ON_TEMPORARY_FILES = "max_temp_directory_size"
_GIVEN_UP = (duckdb.FatalException, duckdb.InternalException)
_INVALIDATED = "has been invalidated"


def store_error_of(error: duckdb.Error) -> StoreError | None:
    """Return what to raise where no other statement would fare better; None: another may."""
    if _says(error, DiskFullError.numbers) or _CAP_ON_TEMPORARY_FILES in str(error):
        return DiskFullError(
            f"There is no room left for the store: {clause_of(error)}. Make room, then run again: "
            "what was committed is kept, and no commit is there by half."
        )
    if has_given_up(error):
        return StoreError(
            f"DuckDB can't go on with the store: {clause_of(error)}. Run again: it is then opened "
            "anew, with all that was committed."
        )
    return None


def has_given_up(error: duckdb.Error) -> bool:
    """Tell whether the database has to be opened anew before it does anything more."""
    return isinstance(error, _GIVEN_UP) or _INVALIDATED in str(error)


def refused_commit(error: duckdb.Error) -> StoreError:
    """Return what to raise where results weren't stored.

    It is a CommitError only where a smaller commit may pass.
    """
    if isinstance(error, duckdb.IOException) or _says(error, _NO_DISK):
        return store_error_of(error) or StoreError(
            f"The store's disk failed a commit: {clause_of(error)}. Look after the disk, then run "
            "again: the store has the whole commit, or nothing of it."
        )
    return store_error_of(error) or CommitError(
        f"DuckDB refused a commit, and nothing of it is stored: {clause_of(error)}. Run again, as "
        "a conflict passes; where it lacks memory, give more with EngineConfig(memory_limit=…)."
    )


def clause_of(error: duckdb.Error) -> str:
    """Return what DuckDB says, on one line and without its advice."""
    return message_of(error).rstrip(".")


def _says(error: duckdb.Error, numbers: Iterable[int]) -> bool:
    # DuckDB hands on no number, only the C library's words for it, in whatever language they are.
    return any(os.strerror(number) in str(error) for number in numbers)
