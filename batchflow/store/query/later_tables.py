"""Tables that files of older formats don't have; such a file can be open only to be read."""

from __future__ import annotations

from typing import Final

from batchflow.store.query.relation import Relation
from batchflow.store.query.source import Source

_HAS_TABLE: Final = """
    SELECT 1 FROM duckdb_tables()
    WHERE database_name = current_database() AND schema_name = 'batchflow' AND table_name = ?"""


def has_table(source: Source, name: str) -> bool:
    """Return whether a store has a table in the schema ``batchflow``."""
    return bool(Relation(source, _HAS_TABLE, [name]).fetchall())
