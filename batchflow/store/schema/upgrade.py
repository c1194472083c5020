"""Upgrade a store's file from an older format to the current one, in place.

To change the format, raise `FORMAT_VERSION` in ``database/file_format.py``, and add to `CHANGES`
what makes a file of the format before into one of the new format. A change never refers to what a
later format might rename: it may meet a file of any age.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final

from batchflow.store.database.file_format import FORMAT_VERSION, set_stored_format, stored_format
from batchflow.store.database.instance import Cursor
from batchflow.store.schema.layout import OUTCOME_TYPE, TRANSITION_OUTCOMES, quote

log = logging.getLogger("batchflow")


def upgrade(cursor: Cursor) -> None:
    """Bring the file to the current format, within the caller's transaction."""
    found = stored_format(cursor)
    if found == FORMAT_VERSION:
        return
    log.info(
        "The store is upgraded from format %d to format %d.",
        found,
        FORMAT_VERSION,
        extra={"action": "upgrade_format", "from_format": found, "to_format": FORMAT_VERSION},
    )
    for version in range(found + 1, FORMAT_VERSION + 1):
        for change in CHANGES[version]:
            change(cursor)
    set_stored_format(cursor)


def widen_outcomes(cursor: Cursor) -> None:
    """Let the transitions of every workflow record all outcomes that this batchflow knows."""
    for table in _tables_of_transitions(cursor):
        if _outcomes(cursor, table) != TRANSITION_OUTCOMES:
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN outcome TYPE {OUTCOME_TYPE}")


def add_definitions(cursor: Cursor) -> None:
    """Add the column for each workflow's description; NULL until an engine opens the workflow."""
    cursor.execute("ALTER TABLE batchflow.workflows ADD COLUMN definition VARCHAR")


def add_operations(cursor: Cursor) -> None:
    """Add the log of operations."""
    cursor.execute(
        "CREATE TABLE batchflow.operations(performed_at TIMESTAMPTZ, workflow VARCHAR, "
        "operation VARCHAR, outcome VARCHAR, reason VARCHAR, changed BIGINT, refused BIGINT, "
        "options VARCHAR)"
    )


def add_loads(cursor: Cursor) -> None:
    """Add the ledger of loaded files, the rejected rows, and the foreign ids of pruned runs."""
    cursor.execute(
        "CREATE TABLE batchflow.loads(load_id BIGINT, loaded_at TIMESTAMPTZ, workflow VARCHAR, "
        "status VARCHAR, given VARCHAR, path VARCHAR, bytes BIGINT, modified_at TIMESTAMPTZ, "
        "sha256 VARCHAR, rows BIGINT, inserted BIGINT, updated BIGINT, skipped BIGINT, "
        "rejected BIGINT)"
    )
    cursor.execute(
        "CREATE TABLE batchflow.rejected(load_id BIGINT, loaded_at TIMESTAMPTZ, workflow VARCHAR, "
        "source VARCHAR, source_row BIGINT, foreign_id VARCHAR, reason VARCHAR, "
        "detail VARCHAR, record VARCHAR)"
    )
    cursor.execute("CREATE TABLE batchflow.pruned_ids(workflow VARCHAR, foreign_id_hash UHUGEINT)")


CHANGES: Final[dict[int, tuple[Callable[[Cursor], None], ...]]] = {
    2: (widen_outcomes, add_definitions, add_operations),
    3: (add_loads,),
}
"""The changes of each format, which upgrade a file of the format before, in their order."""


def _tables_of_transitions(cursor: Cursor) -> Iterator[str]:
    query = (
        "SELECT schema_name FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name IN (SELECT name FROM batchflow.workflows) AND table_name = 'transitions'"
    )
    for (schema,) in cursor.execute(query).fetchall():
        yield f"{quote(schema)}.transitions"


def _outcomes(cursor: Cursor, table: str) -> tuple[str, ...]:
    query = f"SELECT enum_range((SELECT any_value(outcome) FROM {table} WHERE false))::VARCHAR[]"
    [(names,)] = cursor.execute(query).fetchall()
    return tuple(names)
