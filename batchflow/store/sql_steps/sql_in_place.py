"""A SQL step as a single UPDATE, which moves all runs if none of them fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from batchflow import crash_point
from batchflow.definition.outcome import Outcome
from batchflow.definition.run_state import RunState
from batchflow.store.database.instance import Cursor
from batchflow.store.runs.exact_values import ExactValue, checked_cast
from batchflow.store.runs.moving import OUTCOMES, RESET_ATTEMPT, RUN_STATES, TRANSITION_COLUMNS
from batchflow.store.schema.layout import BUCKET_BITS, quote
from batchflow.store.sql_steps.sql_result import SqlStepResult, all_moved, counted_moves
from batchflow.store.sql_steps.sql_task import SqlTask


class NotInPlaceError(Exception):
    """Some of the runs can't be moved by one UPDATE, so each must be evaluated by itself."""


@dataclass(frozen=True)
class _Due:
    """The runs to move.

    Attributes:
        buckets: Their number by bucket, if all of them move to the same status.
        rows: Their number.
        retried: Whether some of them have failed before.
        initiated: Whether no step has moved some of them yet.
        mistakable: Whether other runs look as if the step had just moved them.
    """

    buckets: Mapping[int, int]
    rows: int
    retried: bool
    initiated: bool
    mistakable: bool


class KnownCasts:
    """The SQL of the fields that each SQL step sets, as DuckDB allows it.

    It is found out once while a store is open, because that takes as long as moving a few runs.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, int], dict[str, ExactValue]] = {}
        self._casts: dict[tuple[str, int], dict[str, str] | None] = {}

    def values_of(self, cursor: Cursor, task: SqlTask) -> dict[str, ExactValue]:
        """Return the value of each field that is set, with its type in DuckDB."""
        key = task.layout.name, task.step.from_code
        if key not in self._values:
            self._values[key] = task.values(cursor)
        return self._values[key]

    def of(self, cursor: Cursor, task: SqlTask) -> dict[str, str]:
        """Return SQL for each field that is set, which raises an error for an unfit value.

        Raises:
            NotInPlaceError: There is no such SQL for a field.
        """
        key = task.layout.name, task.step.from_code
        if key not in self._casts:
            self._casts[key] = _casts(cursor, task, self.values_of(cursor, task))
        casts = self._casts[key]
        if casts is None:
            raise NotInPlaceError
        return casts


def _casts(
    cursor: Cursor, task: SqlTask, values: Mapping[str, ExactValue]
) -> dict[str, str] | None:
    casts = {}
    for name, value in values.items():
        checked = checked_cast(cursor, task.rows, value, task.parameters)
        if checked is None:
            return None
        casts[name] = checked
    return casts


def move_in_place(cursor: Cursor, task: SqlTask, known: KnownCasts) -> SqlStepResult:
    """Move the runs with one UPDATE, in the caller's transaction.

    Raises:
        NotInPlaceError: Some of the runs fail, or can't be distinguished. Roll back.
        duckdb.Error: Some of the runs fail. Roll back.
    """
    due = _due(cursor, task)
    if not due.rows:
        return all_moved(task.step, counted_moves(()))
    changes = known.of(cursor, task)
    if task.step.constant_status is None:
        return all_moved(task.step, _move_by_expression(cursor, task, due, changes))
    return all_moved(task.step, _move_to_constant(cursor, task, due, changes))


def _move_to_constant(
    cursor: Cursor, task: SqlTask, due: _Due, changes: dict[str, str]
) -> pa.Table:
    # The transitions are known beforehand.
    [to] = task.destinations
    counts = counted_moves((to, bucket, rows) for bucket, rows in due.buckets.items())
    _record(cursor, task, _transition(task, task.layout.status(to), "attempt", 1), task.claimable)
    _update(cursor, task, due, changes)
    return counts


def _move_by_expression(
    cursor: Cursor, task: SqlTask, due: _Due, changes: dict[str, str]
) -> pa.Table:
    # Afterwards the moved runs are identified by the time of their update, so no other run may
    # have that time. RETURNING would identify them too, but makes an UPDATE three times as slow.
    if due.retried or due.mistakable:
        raise NotInPlaceError
    _update(cursor, task, due, changes)
    moved_counts = _moved_counts(cursor, task)
    if pc.sum(moved_counts["rows"]).as_py() != due.rows:
        raise NotInPlaceError
    _complete_some(cursor, task, moved_counts)
    _record(cursor, task, _transition(task, "status", "1", 0), _just_moved(task))
    return moved_counts


def _due(cursor: Cursor, task: SqlTask) -> _Due:
    # The buckets are counted here if the status is constant, because a second scan isn't free.
    known = task.step.constant_status is not None
    mistakable = (
        "false"
        if known
        else f"EXISTS(FROM {task.layout.runs} WHERE seq BETWEEN $first AND $last "
        f"AND {_at_a_destination(task)} AND updated_at >= $now)"
    )
    query = (
        f"SELECT {f'seq >> {BUCKET_BITS}' if known else 'NULL'} AS bucket, count(*), "
        f"max(attempt), count(*) FILTER (run_state = {RUN_STATES[RunState.INITIATED]}), "
        f"{mistakable} FROM {task.layout.runs} WHERE {task.claimable} GROUP BY 1"
    )
    # Not as Arrow, which takes DuckDB twice as long for a few rows.
    counted = cursor.execute(query, task.parameters).fetchall()
    return _Due(
        buckets={bucket: rows for bucket, rows, *_ in counted},
        rows=sum(rows for _, rows, *_ in counted),
        retried=any(attempt > 1 for _, _, attempt, *_ in counted),
        initiated=any(initiated for *_, initiated, _ in counted),
        mistakable=any(mistakable for *_, mistakable in counted),
    )


def _update(cursor: Cursor, task: SqlTask, due: _Due, changes: dict[str, str]) -> None:
    statement = update_statement(task, changes, initiated=due.initiated, retried=due.retried)
    cursor.execute(statement, task.parameters).fetchall()
    crash_point.reached("within_commit")


def update_statement(
    task: SqlTask, values: Mapping[str, str], *, initiated: bool, retried: bool
) -> str:
    """Return the update that moves the runs.

    Args:
        task: The step and its runs.
        values: The SQL of the value of each field that is set.
        initiated: Whether no step has moved some of them yet.
        retried: Whether some of them have failed before.
    """
    fields = task.layout.workflow.field
    changes = [f"{quote(fields(name).column)} = {sql}" for name, sql in values.items()]
    # The cast raises for NULL and for a text that isn't a status. A status that isn't a destination
    # is noticed when the moved runs are counted.
    changes.append(f"status = CAST({task.status} AS {task.layout.status_type})")
    state = _state_of_all(task)
    if state is RunState.COMPLETED or initiated:
        changes.append(f"run_state = {RUN_STATES[state or RunState.RUNNING]}")
    if retried:
        changes += RESET_ATTEMPT
    every = ", ".join(["version = version + 1", "updated_at = $now", *changes])
    return f"UPDATE {task.layout.runs} SET {every} WHERE {task.claimable}"


def _state_of_all(task: SqlTask) -> RunState | None:
    """Return the run state of all moved runs; None if it depends on the destination."""
    ends = {code in task.layout.workflow.terminal_codes for code in task.destinations}
    if len(ends) > 1:
        return None
    return RunState.COMPLETED if True in ends else RunState.RUNNING


def _moved_counts(cursor: Cursor, task: SqlTask) -> pa.Table:
    query = (
        f"SELECT enum_code(status), seq >> {BUCKET_BITS}, count(*) "
        f"FROM {task.layout.runs} WHERE {_just_moved(task)} GROUP BY ALL"
    )
    return counted_moves(cursor.execute(query, task.parameters).fetchall())


def _complete_some(cursor: Cursor, task: SqlTask, moved_counts: pa.Table) -> None:
    reached = moved_counts["to"].to_pylist()
    terminal = task.layout.workflow.terminal_codes.intersection(reached)
    if _state_of_all(task) is not None or not terminal:
        return
    names = ", ".join(task.layout.status(code) for code in sorted(terminal))
    query = (
        f"UPDATE {task.layout.runs} SET run_state = {RUN_STATES[RunState.COMPLETED]} "
        f"WHERE seq BETWEEN $first AND $last AND status IN ({names}) AND updated_at = $now"
    )
    cursor.execute(query, task.parameters).fetchall()


def _transition(task: SqlTask, to_status: str, attempt: str, version_step: int) -> str:
    state = _state_of_all(task)
    run_state = "run_state" if state is None else RUN_STATES[state]
    return (
        f"seq, {task.layout.status(task.step.from_code)}, {to_status}, "
        f"{OUTCOMES[Outcome.ADVANCED]}, {run_state}, {attempt}, version + {version_step}, $now"
    )


def _record(cursor: Cursor, task: SqlTask, transition: str, where: str) -> None:
    if task.layout.workflow.record_transitions:
        query = (
            f"INSERT INTO {task.layout.transitions_without_reason} ({TRANSITION_COLUMNS}) "
            f"SELECT {transition} FROM {task.layout.runs} WHERE {where}"
        )
        cursor.execute(query, task.parameters).fetchall()


def _just_moved(task: SqlTask) -> str:
    return f"seq BETWEEN $first AND $last AND {_at_a_destination(task)} AND updated_at = $now"


def _at_a_destination(task: SqlTask) -> str:
    names = ", ".join(task.layout.status(code) for code in task.destinations)
    return f"status IN ({names})"
