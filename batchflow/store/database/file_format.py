"""The header of a store's file: which format the file has, and what made it."""

from __future__ import annotations

import importlib.metadata
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from batchflow.errors import StoreFormatError
from batchflow.store.database.instance import Cursor
from batchflow.store.database.store_error import clause_of

FORMAT_VERSION: Final = 1

CREATE_HEADER: Final = """
CREATE SCHEMA batchflow;
CREATE TABLE batchflow.store(
    format_version INTEGER, batchflow_version VARCHAR, created_at TIMESTAMPTZ
);
CREATE TABLE batchflow.workflows(name VARCHAR, run_id_base UHUGEINT, next_seq BIGINT);
"""


def create_header(root: Cursor, now: datetime) -> None:
    """Write the header of a new store."""
    root.begin()
    root.execute(CREATE_HEADER)
    header = [FORMAT_VERSION, _batchflow_version(), now]
    root.execute("INSERT INTO batchflow.store VALUES (?, ?, ?)", header)
    root.commit()


def check_header(root: Cursor, path: Path) -> None:
    """Make sure that the file is a store in a format that this batchflow reads.

    Raises:
        StoreFormatError: It isn't.
    """
    try:
        versions = root.execute("SELECT format_version FROM batchflow.store").fetchall()
    except duckdb.CatalogException:
        raise not_a_store(path, "it is a DuckDB file that batchflow did not create") from None
    except duckdb.Error as error:
        raise not_a_store(path, f"its header can't be read ({clause_of(error)})") from error
    if versions != [(FORMAT_VERSION,)]:
        found = versions[0][0] if versions else "none"
        raise StoreFormatError(
            f"The store {str(path)!r} has format {found} and this batchflow reads format "
            f"{FORMAT_VERSION}: open it with the batchflow that made it, or a newer one."
        )


def not_a_store(path: Path, reason: str) -> StoreFormatError:
    """Return the error for a file that is not a store."""
    return StoreFormatError(
        f"{str(path)!r} is not a batchflow store: {reason}. Give the path of a store, or a path "
        "where no file exists."
    )


def _batchflow_version() -> str:
    try:
        return importlib.metadata.version("batchflow-engine")
    except importlib.metadata.PackageNotFoundError:  # a source tree that is not installed
        return "unknown"
