"""Copies of runs in a store of their own, where steps can be tried on them."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from batchflow.store.database.connection import Connection
from batchflow.store.database.staging import STAGED, registered
from batchflow.store.schema.layout import Layout, quote

_SCHEMA: Final = quote("_batchflow_rehearsal")
BEFORE: Final = f"{_SCHEMA}.before"
"""The table with the runs as they were copied; it has the columns of ``runs``."""

_RUN_ID: Final = "run_id"


def copy_runs(connection: Connection, layout: Layout, rows: pa.RecordBatchReader) -> int:
    """Store runs with all of their columns, once as they are and once to be moved.

    Args:
        connection: The connection to a store without runs.
        layout: Where they are stored.
        rows: The runs, with the columns of ``runs``.

    Returns:
        The number of runs.
    """
    columns = dict(zip(layout.column_names, layout.column_types, strict=True))
    casts = ", ".join(
        f"CAST({quote(name)} AS {kind}) AS {quote(name)}" for name, kind in columns.items()
    )
    # A run id is computed from the seq.
    written = ", ".join(quote(name) for name in columns if name != _RUN_ID)
    with connection.write() as cursor, registered(cursor, STAGED, rows):
        cursor.execute(f"CREATE SCHEMA {_SCHEMA}")
        cursor.execute(f"CREATE TABLE {BEFORE} AS SELECT {casts} FROM {STAGED}")
        [(copied,)] = cursor.execute(
            f"INSERT INTO {layout.runs} ({written}) SELECT {written} FROM {BEFORE}"
        ).fetchall()
    return int(copied)
