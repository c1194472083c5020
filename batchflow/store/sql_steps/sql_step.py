"""A SQL step, which is executed in the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb

from batchflow.definition.step import Step
from batchflow.errors import DefinitionError, QueryError
from batchflow.store.database.connection import Connection
from batchflow.store.database.instance import Cursor
from batchflow.store.query.keyword_names import quoting_hint
from batchflow.store.query.known_names import require_known_names
from batchflow.store.query.permission import require_reading
from batchflow.store.runs.commit import refusing
from batchflow.store.runs.invariants import breaks_any
from batchflow.store.schema.layout import Layout
from batchflow.store.sql_steps.sql_each import move_each
from batchflow.store.sql_steps.sql_in_place import (
    KnownCasts,
    NotInPlaceError,
    move_in_place,
    update_statement,
)
from batchflow.store.sql_steps.sql_result import SqlStepResult
from batchflow.store.sql_steps.sql_task import STORAGE_ERRORS, SqlTask
from batchflow.store.sql_steps.sql_together import move_together
from batchflow.store.sql_steps.sql_visit import SqlVisit

if TYPE_CHECKING:
    import numpy as np

# DuckDB raises these before it reads any run.
DEFINITION_ERRORS = (duckdb.ProgrammingError, duckdb.NotSupportedError, duckdb.PermissionException)


def commit_sql_steps(
    connection: Connection, visit: SqlVisit, random: np.random.Generator, known: KnownCasts
) -> list[SqlStepResult]:
    """Move all runs as far as the steps lead, with one UPDATE.

    If a step fails for some of them, only the first step is executed: with one UPDATE or, if it
    is the one that fails, run by run. The other steps are executed for the next spans, so each
    failure is found where it belongs, and keeps the results of the steps before it.

    Raises:
        CommitError: Nothing was stored; a step for fewer runs may succeed.
        DiskFullError: As for other commits.
        StoreError: As for other commits.
    """
    with refusing(connection):
        if len(visit.tasks) > 1:
            try:
                with connection.write() as cursor:
                    results = move_together(cursor, visit, known)
                    _require_sound(cursor, visit.tasks[0])
                    return results
            except STORAGE_ERRORS:
                raise
            except (NotInPlaceError, duckdb.Error):
                pass
        return [_commit(connection, visit.tasks[0], random, known)]


def _commit(
    connection: Connection, task: SqlTask, random: np.random.Generator, known: KnownCasts
) -> SqlStepResult:
    try:
        with connection.write() as cursor:
            result = move_in_place(cursor, task, known)
            _require_sound(cursor, task)
            return result
    except STORAGE_ERRORS:
        raise
    except (NotInPlaceError, duckdb.Error):
        return move_each(connection, task, random)


def _require_sound(cursor: Cursor, task: SqlTask) -> None:
    """Raise NotInPlaceError if runs break an invariant, which are then identified one by one."""
    if breaks_any(cursor, task.layout, (task.first_seq, task.last_seq), task.now):
        raise NotInPlaceError


def refuse_unbindable(cursor: Cursor, layouts: Iterable[Layout], now: datetime) -> None:
    """Raise DefinitionError if DuckDB can't bind the expressions of a SQL step."""
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
    # Before DuckDB binds them, which may execute a part.
    refused = list(_refused_expressions(task.step, task.layout))
    if refused:
        yield from (f"Workflow {task.layout.name!r}: {problem}" for problem in refused)
        return
    try:
        casts = {name: value.cast for name, value in task.values(cursor).items()}
        update = update_statement(task, casts, initiated=True, retried=True)
        cursor.execute(f"EXPLAIN {update}", task.parameters).fetchall()
    except DEFINITION_ERRORS as error:
        yield (
            f"Workflow {task.layout.name!r}: step {task.step.name!r} has an expression that DuckDB "
            f"rejects: {error}"
        )


def _refused_expressions(step: Step, layout: Layout) -> Iterator[str]:
    """Yield each expression that does more than compute a value, or has an unknown name."""
    given = {f"the value of {name!r}": text for name, text in step.set_expressions.items()}
    if step.status_expression is not None:
        given["the status"] = step.status_expression
    for what, expression in given.items():
        try:
            require_reading(f"SELECT (\n{expression}\n)")
            require_known_names(expression, layout, None)
        except QueryError as error:
            hint = quoting_hint(expression, error.found, layout.column_names)
            yield (
                f"step {step.name!r} has an expression for {what} that can't be executed: "
                f"{error}{hint}"
            )
