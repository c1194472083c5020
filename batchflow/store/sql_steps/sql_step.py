"""A step that never leaves the store: its expressions are evaluated where the runs lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb

from batchflow.errors import DefinitionError
from batchflow.store.database.connection import Connection
from batchflow.store.database.instance import Cursor
from batchflow.store.runs.commit import CommitSummary, refusing
from batchflow.store.schema.layout import Layout
from batchflow.store.sql_steps.sql_each import move_each
from batchflow.store.sql_steps.sql_in_place import NotInPlaceError, move_in_place, update_statement
from batchflow.store.sql_steps.sql_task import STORAGE_ERRORS, SqlTask

if TYPE_CHECKING:
    import numpy as np

# What DuckDB says before it has looked at any run.
DEFINITION_ERRORS = (duckdb.ProgrammingError, duckdb.NotSupportedError, duckdb.PermissionException)


def commit_sql_step(
    connection: Connection, task: SqlTask, random: np.random.Generator
) -> CommitSummary:
    """Move all runs at once; where that doesn't work out, each by itself.

    Raises:
        CommitError: nothing was stored; fewer runs may be moved.
        DiskFullError, StoreError: as for other commits.
    """
    with refusing(connection):
        return _commit(connection, task, random)


def _commit(connection: Connection, task: SqlTask, random: np.random.Generator) -> CommitSummary:
    try:
        with connection.write() as cursor:
            return move_in_place(cursor, task)
    except STORAGE_ERRORS:
        raise
    except (NotInPlaceError, duckdb.Error):
        return move_each(connection, task, random)


def refuse_unbindable(cursor: Cursor, layouts: Iterable[Layout], now: datetime) -> None:
    """Raise DefinitionError where DuckDB can't make sense of a SQL step's expressions."""
    problems = [
        problem
        for layout in layouts
        for step in layout.workflow.steps.values()
        if step.kind.in_store
        for problem in _binding_problems(cursor, SqlTask(layout, step, 0, 0, now))
    ]
    if problems:
        raise DefinitionError(problems=problems)


def _binding_problems(cursor: Cursor, task: SqlTask) -> Iterator[str]:
    try:
        update = update_statement(task, initiated=True, retried=True)
        cursor.execute(f"EXPLAIN {update}", task.parameters).fetchall()
    except DEFINITION_ERRORS as error:
        yield (
            f"workflow {task.layout.name!r}: {task.step.name!r} has an expression that DuckDB "
            f"refuses: {error}"
        )
