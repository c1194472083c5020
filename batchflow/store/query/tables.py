"""What a query needs to know of a workflow: where its tables lie, with or without a definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from batchflow.errors import QueryError
from batchflow.store.query.relation import Relation, Source
from batchflow.store.schema.layout import quote


class Tables(Protocol):
    """Say where the runs, transitions and errors of one workflow lie."""

    @property
    def name(self) -> str:
        """Return the workflow's name."""

    @property
    def run_id_base(self) -> int:
        """Return the UUID, as a number, to which a run's seq is added for its run id."""

    @property
    def runs(self) -> str:
        """Return the quoted table of runs."""

    @property
    def transitions(self) -> str:
        """Return the quoted table of transitions."""

    @property
    def errors(self) -> str:
        """Return the quoted table of errors."""

    @property
    def column_names(self) -> Sequence[str]:
        """Return the names of the columns of ``runs``."""


@dataclass(frozen=True)
class StoredTables:
    """The tables of a workflow as they are found in a store, without its definition."""

    name: str
    run_id_base: int
    column_names: tuple[str, ...]

    @property
    def runs(self) -> str:
        """Return the quoted table of runs."""
        return f"{quote(self.name)}.runs"

    @property
    def transitions(self) -> str:
        """Return the quoted table of transitions."""
        return f"{quote(self.name)}.transitions"

    @property
    def errors(self) -> str:
        """Return the quoted table of errors."""
        return f"{quote(self.name)}.errors"


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
