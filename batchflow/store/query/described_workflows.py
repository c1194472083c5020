"""The workflows of a store as its file describes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from batchflow.store.database.instance import Cursor
from batchflow.store.query.relation import Relation
from batchflow.store.query.source import Source
from batchflow.store.schema.tables import StoredTables

# The definition is read from the row's JSON, as files of an older format lack the column.
DESCRIBED_WORKFLOWS: Final = """
    SELECT w.name, w.run_id_base::VARCHAR, list(c.column_name ORDER BY c.column_index),
           list(c.data_type ORDER BY c.column_index),
           any_value(to_json(w) ->> 'definition')
    FROM batchflow.workflows AS w
    JOIN duckdb_columns() AS c ON c.schema_name = w.name AND c.table_name = 'runs'
    WHERE c.database_name = current_database()
    GROUP BY w.name, w.run_id_base
    ORDER BY w.name"""


@dataclass(frozen=True)
class DescribedWorkflow:
    """One workflow of a store.

    Attributes:
        tables: Where its tables are.
        definition: Its definition as JSON; None in a file that an older batchflow wrote.
    """

    tables: StoredTables
    definition: str | None


def described_workflows(source: Source) -> dict[str, DescribedWorkflow]:
    """Return every workflow in a store, by name."""
    return _by_name(Relation(source, DESCRIBED_WORKFLOWS).fetchall())


def workflows_described_in(cursor: Cursor) -> dict[str, DescribedWorkflow]:
    """Return every workflow in a store that is open here, by name."""
    return _by_name(cursor.execute(DESCRIBED_WORKFLOWS).fetchall())


def _by_name(rows: Iterable[tuple[Any, ...]]) -> dict[str, DescribedWorkflow]:
    return {
        name: DescribedWorkflow(
            StoredTables(name, int(base), tuple(columns), tuple(types)), definition
        )
        for name, base, columns, types, definition in rows
    }
