"""The header of a store's file: which format the file has, and what created it.

`FORMAT_VERSION` is raised with each change that older code can't work with. A file of an older
format is upgraded when it is opened for writing; see ``schema/upgrade.py``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from batchflow import __version__
from batchflow.errors import StoreFormatError
from batchflow.store.database.instance import Cursor
from batchflow.store.database.store_error import clause_of

FORMAT_VERSION: Final = 4

CREATE_HEADER: Final = """
CREATE SCHEMA batchflow;
CREATE TABLE batchflow.store(
    format_version INTEGER, batchflow_version VARCHAR, created_at TIMESTAMPTZ, log_path VARCHAR
);
CREATE TABLE batchflow.workflows(
    name VARCHAR, run_id_base UHUGEINT, next_seq BIGINT, definition VARCHAR
);
CREATE TABLE batchflow.operations(
    performed_at TIMESTAMPTZ, workflow VARCHAR, operation VARCHAR, outcome VARCHAR, reason VARCHAR,
    changed BIGINT, refused BIGINT, options VARCHAR
);
CREATE TABLE batchflow.loads(
    load_id BIGINT, loaded_at TIMESTAMPTZ, workflow VARCHAR, status VARCHAR, given VARCHAR,
    path VARCHAR, bytes BIGINT, modified_at TIMESTAMPTZ, sha256 VARCHAR, rows BIGINT,
    inserted BIGINT, updated BIGINT, skipped BIGINT, rejected BIGINT, first_seq BIGINT,
    last_seq BIGINT, etag VARCHAR
);
CREATE TABLE batchflow.rejected(
    load_id BIGINT, loaded_at TIMESTAMPTZ, workflow VARCHAR, source VARCHAR, source_row BIGINT,
    foreign_id VARCHAR, reason VARCHAR, detail VARCHAR, record VARCHAR
);
CREATE TABLE batchflow.exports(
    export_id BIGINT, name VARCHAR, workflow VARCHAR, destination VARCHAR, first_position BIGINT,
    last_position BIGINT, begun_at TIMESTAMPTZ, ended_at TIMESTAMPTZ
);
CREATE TABLE batchflow.exported_runs(export_id BIGINT, seq BIGINT, version INTEGER);
CREATE TABLE batchflow.pruned_ids(workflow VARCHAR, foreign_id_hash UHUGEINT);
CREATE TABLE batchflow.pruning(
    workflow VARCHAR, first_seq BIGINT, last_seq BIGINT, seqs BIGINT[],
    finished_before TIMESTAMPTZ, forget BOOLEAN
);
CREATE TABLE batchflow.shard(
    shard INTEGER, shards INTEGER, shard_set UUID, pattern VARCHAR, slot INTEGER
);
"""

CREATE_COSTS: Final = """
CREATE TABLE batchflow.commits(
    committed_at TIMESTAMPTZ, workflow VARCHAR, status VARCHAR, step VARCHAR, runs BIGINT,
    failed BIGINT, chunks BIGINT, step_seconds DOUBLE, queue_seconds DOUBLE, commit_seconds DOUBLE
);
CREATE TABLE batchflow.chunks(
    committed_at TIMESTAMPTZ, workflow VARCHAR, status VARCHAR, step VARCHAR, chunk BIGINT,
    worker VARCHAR, first_seq BIGINT, last_seq BIGINT, runs BIGINT, seconds DOUBLE
);
CREATE TABLE batchflow.slow_runs(
    committed_at TIMESTAMPTZ, workflow VARCHAR, status VARCHAR, step VARCHAR, seq BIGINT,
    seconds DOUBLE, worker VARCHAR
);
"""
CREATE_CAUSES: Final = """
CREATE TABLE batchflow.causes(
    cause VARCHAR, description VARCHAR, type VARCHAR, message VARCHAR, function VARCHAR,
    file VARCHAR, line INTEGER, source VARCHAR, chain VARCHAR[], first_seen TIMESTAMPTZ
);
"""


def create_header(root: Cursor, now: datetime) -> None:
    """Write the header of a new store; within the transaction of the caller."""
    root.execute(CREATE_HEADER + CREATE_COSTS + CREATE_CAUSES)
    header = [FORMAT_VERSION, __version__, now]
    root.execute("INSERT INTO batchflow.store VALUES (?, ?, ?, NULL)", header)


def check_header(root: Cursor, path: Path) -> None:
    """Make sure that the file is a store in this format or an older one.

    Raises:
        StoreFormatError: The file is not a store, or has a newer format.
    """
    try:
        versions = root.execute("SELECT format_version FROM batchflow.store").fetchall()
    except duckdb.CatalogException:
        raise not_a_store(path, "it is a DuckDB file that batchflow did not create") from None
    except duckdb.Error as error:
        raise not_a_store(path, f"its header can't be read ({clause_of(error)})") from error
    version = versions[0][0] if versions else None
    if version is None or version < 1:
        raise not_a_store(path, f"its header names the format {version}")
    if version > FORMAT_VERSION:
        raise StoreFormatError(
            f"The store {str(path)!r} has format {version}, and this batchflow reads formats up to "
            f"{FORMAT_VERSION}: open it with a newer batchflow. The file was not changed."
        )


def stored_format(cursor: Cursor) -> int:
    """Return the format of the file that is open."""
    [(version,)] = cursor.execute("SELECT format_version FROM batchflow.store").fetchall()
    return int(version)


def set_stored_format(cursor: Cursor) -> None:
    """Store that the file has the current format; within the transaction that upgraded it."""
    cursor.execute("UPDATE batchflow.store SET format_version = ?", [FORMAT_VERSION])


def not_a_store(path: Path, reason: str) -> StoreFormatError:
    """Return the error for a file that is not a store."""
    return StoreFormatError(
        f"{str(path)!r} is not a batchflow store: {reason}. Give the path of a store, or a path "
        "where no file exists."
    )
