"""The foreign ids that were ever loaded into a workflow, also those of pruned runs.

A pruned run leaves the 128-bit hash of its foreign id, 16 bytes. A hash doesn't reveal the foreign
id, and of a billion ids, two have the same hash with a probability of about 1 in 10 ** 21.
"""

from __future__ import annotations

from typing import Final

from batchflow.store.database.instance import Cursor
from batchflow.store.schema.layout import Layout, literal
from batchflow.store.schema.tables import Tables

PRUNED_IDS: Final = "batchflow.pruned_ids"
CHOSEN: Final = "batchflow_pruned"
"""The temporary table that has the seqs of the runs that are removed."""


def has_loaded(cursor: Cursor, layout: Layout) -> bool:
    """Return whether any foreign id was loaded."""
    [(found,)] = cursor.execute(
        f"SELECT EXISTS (FROM {layout.runs}) OR EXISTS (FROM {PRUNED_IDS} WHERE workflow = ?)",
        [layout.name],
    ).fetchall()
    return bool(found)


def is_loaded(tables: Tables, key: str) -> str:
    """Return the condition, in SQL, that a foreign id was loaded before."""
    return (
        f"({key} IN (SELECT foreign_id FROM {tables.runs}) OR {_hash(key)} IN "
        f"(SELECT foreign_id_hash FROM {PRUNED_IDS} WHERE workflow = {literal(tables.name)}))"
    )


def keep_ids(cursor: Cursor, tables: Tables, within: str) -> None:
    """Keep the hashes of the foreign ids of the runs that this transaction is about to remove.

    Args:
        cursor: The transaction's cursor; the seqs of the runs are in the table `CHOSEN`.
        tables: Where their workflow's tables are.
        within: The condition of the range of seqs that has them.
    """
    cursor.execute(
        f"INSERT INTO {PRUNED_IDS} SELECT {literal(tables.name)}, {_hash('foreign_id')} "
        f"FROM {tables.runs} WHERE {within} "
        f"AND seq IN (SELECT seq FROM {CHOSEN} WHERE {within})"
    ).fetchall()


def _hash(key: str) -> str:
    # Unlike hash(), it stays the same in later releases of DuckDB.
    return f"md5_number({key})"
