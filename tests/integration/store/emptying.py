"""Using a store in memory again, as to create one takes longer than most tests of it."""

from __future__ import annotations

from batchflow.store.database.connection import Connection


def empty(connection: Connection) -> None:
    """Leave a store as it was when it was new."""
    with connection.write() as cursor:
        tables = cursor.execute("SELECT schema_name, table_name FROM duckdb_tables()")
        for schema, table in tables.fetchall():
            if table not in ("store", "workflows"):
                cursor.execute(f"DELETE FROM {schema}.{table}")
        cursor.execute("UPDATE batchflow.workflows SET next_seq = 0")
