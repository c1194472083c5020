"""Find the workflows of a store without their definitions."""

from __future__ import annotations

from collections.abc import Mapping

from batchflow.errors import QueryError
from batchflow.store.query.relation import Relation, Source
from batchflow.store.schema.tables import StoredTables

STORED_WORKFLOWS = """
    SELECT w.name, w.run_id_base::VARCHAR, list(c.column_name ORDER BY c.column_index)
    FROM batchflow.workflows AS w
    JOIN duckdb_columns() AS c ON c.schema_name = w.name AND c.table_name = 'runs'
    WHERE c.database_name = current_database()
    GROUP BY ALL
    ORDER BY w.name"""


def stored_tables(source: Source) -> dict[str, StoredTables]:
    """Return the tables of every workflow that a store holds, by name."""
    rows = Relation(source, STORED_WORKFLOWS).fetchall()
    return {name: StoredTables(name, int(base), tuple(columns)) for name, base, columns in rows}


def the_stored(found: Mapping[str, StoredTables], name: str) -> StoredTables:
    """Return the tables of the workflow that is named, or raise QueryError."""
    if name not in found:
        there = ", ".join(map(repr, found)) or "none yet"
        raise QueryError(f"The store has no workflow {name!r}; its workflows are: {there}.")
    return found[name]
