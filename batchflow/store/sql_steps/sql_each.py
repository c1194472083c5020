"""A SQL step that is evaluated for each run, so that an error fails only its own run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batchflow.columns.misfit import phrase_of
from batchflow.columns.value_writing import WrittenColumn
from batchflow.credentials import without_credentials
from batchflow.definition.cause import Cause, Place, Raised, cause_of, distinct
from batchflow.definition.outcome import Outcome
from batchflow.definition.placeholders import without_numbers
from batchflow.definition.retry_decision import FailedAttempts, decide
from batchflow.definition.run_state import RunState
from batchflow.errors import InvalidObject, InvalidOutcome
from batchflow.store.database.connection import Connection
from batchflow.store.runs.commit import apply
from batchflow.store.runs.cost_log import IN_STORE
from batchflow.store.runs.invariants import RunsBreakInvariantsError, isolated, require_sound
from batchflow.store.runs.step_commit import StepCommit
from batchflow.store.sql_steps.sql_evaluation import (
    RESULT,
    STATUS,
    SqlFailure,
    Values,
    evaluate,
)
from batchflow.store.sql_steps.sql_result import SqlStepResult, result_of
from batchflow.store.sql_steps.sql_task import SqlTask

Columns: TypeAlias = Mapping[str, WrittenColumn]

MESSAGE_CHARACTERS = 2_000
FINGERPRINT_CHARACTERS = 16
_SOURCE_CHARACTERS = 300


def move_each(connection: Connection, task: SqlTask, random: np.random.Generator) -> SqlStepResult:
    """Move the runs that succeed and fail the others, in one transaction."""
    broken: RunsBreakInvariantsError | None = None
    while True:
        try:
            return _move_each(connection, task, random, broken)
        except RunsBreakInvariantsError as error:
            broken = error.with_earlier(broken)


def _move_each(
    connection: Connection,
    task: SqlTask,
    random: np.random.Generator,
    broken: RunsBreakInvariantsError | None,
) -> SqlStepResult:
    stage = connection.stage()
    with connection.write():
        # On a cursor of its own, because an error would abort the writing transaction.
        reader = connection.reader()
        values = task.values(reader)
        evaluated, raised = evaluate(reader, task, values)
        columns = _columns(evaluated, values)
        failures = list(_first_of_each([*raised, *_invalid(task, evaluated, columns)]))
        commit = _commit_of(task, evaluated, columns, failures, random)
        if broken is not None:
            commit = isolated(commit, broken)
        apply(stage, task.layout, commit, task.now)
        require_sound(stage, [(task.layout, commit)])
    return result_of(commit)


# Values that the definition doesn't allow.


def _columns(evaluated: pa.Table, values: Values) -> Columns:
    result = evaluated[RESULT].combine_chunks()
    return {name: value.written(_part(result, name)) for name, value in values.items()}


def _invalid(task: SqlTask, evaluated: pa.Table, columns: Columns) -> Iterator[SqlFailure]:
    result = evaluated[RESULT].combine_chunks()
    yielded = pc.is_valid(result)
    for name, column in columns.items():
        yield from _unfit(task, name, column, yielded)
    allowed = pc.is_in(_part(result, STATUS), value_set=pa.array(task.destination_names))
    yield from _undeclared(task, result, _rows(pc.and_(yielded, pc.invert(allowed))))


def _unfit(
    task: SqlTask, name: str, column: WrittenColumn, yielded: pa.Array
) -> Iterator[SqlFailure]:
    field_type = task.layout.workflow.field(name).type
    for row, found in column.problems.items():
        if yielded[row].as_py():
            what = "NULL" if found == "None" else phrase_of(found, log_values=task.log_values)
            message = (
                f"Step {task.step.name!r} set field {name!r} to {what}; it takes {field_type}."
            )
            yield SqlFailure(row, InvalidObject, message)


def _undeclared(
    task: SqlTask, result: pa.StructArray, rows: NDArray[np.intp]
) -> Iterator[SqlFailure]:
    known = set(task.layout.workflow.status_names)
    allowed = ", ".join(task.destination_names)
    statuses = _part(result, STATUS).take(rows).to_pylist()
    for row, found in zip(rows.tolist(), statuses, strict=True):
        # Any other text may be data of the run, which messages don't show.
        what = "NULL" if found is None else repr(found) if found in known else "an unknown status"
        message = f"Step {task.step.name!r} answered with {what}; allowed are {allowed}."
        yield SqlFailure(row, InvalidOutcome, message)


def _part(result: pa.StructArray | pa.ChunkedArray, name: str) -> pa.Array | pa.ChunkedArray:
    return pc.struct_field(result, [name])


def _rows(mask: pa.Array) -> NDArray[np.intp]:
    return np.flatnonzero(mask.to_numpy(zero_copy_only=False))


def _first_of_each(failures: list[SqlFailure]) -> Iterator[SqlFailure]:
    seen: set[int] = set()
    for failure in failures:
        if failure.row not in seen:
            seen.add(failure.row)
            yield failure


# The commit.


def _commit_of(
    task: SqlTask,
    evaluated: pa.Table,
    columns: Columns,
    failures: list[SqlFailure],
    random: np.random.Generator,
) -> StepCommit:
    rows = np.array([failure.row for failure in failures], np.intp)
    moves = np.ones(evaluated.num_rows, np.bool_)
    moves[rows] = False
    failed = evaluated.take(pa.array(rows, pa.int64()))
    causes = _causes(task, failures)
    return StepCommit(
        workflow=task.layout.workflow,
        step=task.step,
        moved=_moved(task, evaluated, columns, pa.array(moves)),
        unmoved=_unmoved(task, failed, failures, random),
        errors=_errors(task, failed, failures, causes),
        causes=distinct(causes),
    )


def _moved(task: SqlTask, evaluated: pa.Table, columns: Columns, moves: pa.Array) -> pa.Table:
    moving = evaluated.filter(moves)
    # Not of the whole struct: Arrow can't make an array of no rows where a field is an extension.
    statuses = _part(moving[RESULT], STATUS).combine_chunks()
    codes = pa.array(task.destinations, pa.uint8())
    table = {name: moving[name] for name in ("#seq", "#version", "#attempt", "#run_state")}
    table["#to"] = codes.take(pc.index_in(statuses, pa.array(task.destination_names)))
    table["#outcome"] = pa.array(np.full(len(statuses), Outcome.ADVANCED, np.uint8))
    return pa.table(table | {name: column.array.filter(moves) for name, column in columns.items()})


def _unmoved(
    task: SqlTask, failed: pa.Table, failures: list[SqlFailure], random: np.random.Generator
) -> pa.Table:
    decision = decide(task.step.options.retry, _attempts(task, failed, failures), task.now, random)
    attempts = failed["#attempt"].to_numpy()
    states = np.where(decision.pauses, RunState.PAUSED, RunState.RUNNING)
    added = {
        "#next_attempt": pa.array((attempts + 1).astype(np.int32)),
        "#outcome": pa.array(np.full(len(failures), Outcome.FAILED, np.uint8)),
        "#run_state": pa.array(states.astype(np.uint8)),
        "#next_attempt_at": pa.array(decision.next_attempt_at, pa.timestamp("us", "UTC")),
        "#reason": pa.array(decision.reasons, pa.string()),
    }
    return _with_columns(failed.select(["#seq", "#version", "#attempt"]), added)


def _attempts(task: SqlTask, failed: pa.Table, failures: list[SqlFailure]) -> FailedAttempts:
    types = {failure.error for failure in failures}
    retried = {error: task.step.options.retry.retries(error) for error in types}
    return FailedAttempts(
        attempts=failed["#attempt"].to_numpy(),
        retryable=np.array([retried[failure.error] for failure in failures], np.bool_),
        error_types=np.array([failure.error.__name__ for failure in failures], np.object_),
    )


def _with_columns(table: pa.Table, added: Mapping[str, pa.Array]) -> pa.Table:
    return pa.table({**dict(zip(table.column_names, table.columns, strict=True)), **added})


def _causes(task: SqlTask, failures: list[SqlFailure]) -> list[Cause]:
    """Return the cause of each failure; those of one kind are computed once."""
    source = without_credentials(" ".join(_where(task).split()))[:_SOURCE_CHARACTERS]
    place = Place("SQL", task.step.name, 1, source)
    known: dict[tuple[str, str], Cause] = {}
    causes = []
    for failure in failures:
        name, message = failure.error.__name__, failure.message[:MESSAGE_CHARACTERS]
        key = (name, without_numbers(message))
        if key not in known:
            known[key] = cause_of(Raised(name, message, place))
        causes.append(known[key])
    return causes


def _errors(
    task: SqlTask, failed: pa.Table, failures: list[SqlFailure], causes: list[Cause]
) -> pa.Table:
    where = _where(task)
    texts = {
        "type": [failure.error.__name__ for failure in failures],
        "message": [failure.shown_message[:MESSAGE_CHARACTERS] for failure in failures],
        "traceback": [without_credentials(f"in {task.step.name}:\n{where}")] * len(failures),
        "fingerprint": [_fingerprint(failure.error, where) for failure in failures],
        "cause": [cause.id for cause in causes],
        "worker": [IN_STORE] * len(failures),
    }
    columns = {name: pa.array(text, pa.string()) for name, text in texts.items()}
    columns["chunk"] = pa.nulls(len(failures), pa.int64())
    columns["seconds"] = pa.nulls(len(failures), pa.float64())
    return pa.table({"#seq": failed["#seq"], "#attempt": failed["#attempt"], **columns})


def _where(task: SqlTask) -> str:
    expressions = {"status": task.status, **task.step.set_expressions}
    return "\n".join(f"{name} = {expression}" for name, expression in expressions.items())


def _fingerprint(error: type[BaseException], where: str) -> str:
    digest = hashlib.sha256(f"{error.__qualname__}\n{where}".encode())
    return digest.hexdigest()[:FINGERPRINT_CHARACTERS]
