"""A SQL step run by run, so that what fails fails its own runs alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batchflow.definition.outcome import Outcome
from batchflow.definition.run_state import RunState
from batchflow.errors import InvalidObject, InvalidOutcome
from batchflow.store.database.connection import Connection
from batchflow.store.runs.commit import LANDED_SCHEMA, CommitSummary, StepCommit, apply
from batchflow.store.schema.layout import BUCKET_BITS
from batchflow.store.sql_steps.sql_evaluation import RESULT, STATUS, SqlFailure, evaluate
from batchflow.store.sql_steps.sql_task import SqlTask

MESSAGE_CHARACTERS = 2_000
FINGERPRINT_CHARACTERS = 16


def move_each(connection: Connection, task: SqlTask, random: np.random.Generator) -> CommitSummary:
    """Move the runs that can be moved, and fail the others, in one transaction."""
    with connection.write() as cursor:
        # An error would abort the transaction of the writing cursor.
        evaluated, raised = evaluate(connection.reader(), task)
        failures = list(_first_of_each([*raised, *_unfit(task, evaluated)]))
        commit = _commit_of(task, evaluated, failures, random)
        apply(cursor, task.layout, commit, task.now)
    return _summary(commit)


# What they yielded, but the definition doesn't allow.


def _unfit(task: SqlTask, evaluated: pa.Table) -> Iterator[SqlFailure]:
    result = evaluated[RESULT].combine_chunks()
    yielded = pc.is_valid(result)
    for name in task.values:
        if not task.layout.workflow.field(name).nullable:
            nulls = pc.and_(yielded, pc.is_null(_part(result, name)))
            yield from _null_in(task, name, _rows(nulls))
    allowed = pc.is_in(_part(result, STATUS), value_set=pa.array(task.destination_names))
    yield from _undeclared(task, result, _rows(pc.and_(yielded, pc.invert(allowed))))


def _null_in(task: SqlTask, name: str, rows: NDArray[np.intp]) -> Iterator[SqlFailure]:
    field_type = task.layout.workflow.field(name).type
    message = f"step {task.step.name!r} set field {name!r} to NULL, which is no {field_type}"
    return (SqlFailure(row, InvalidObject, message) for row in rows.tolist())


def _undeclared(
    task: SqlTask, result: pa.StructArray, rows: NDArray[np.intp]
) -> Iterator[SqlFailure]:
    known = set(task.layout.workflow.status_names)
    answers = _part(result, STATUS).take(rows).to_pylist()
    for row, found in zip(rows.tolist(), answers, strict=True):
        # Anything but a status's name may be data of the run, which messages don't show.
        what = "NULL" if found is None else repr(found) if found in known else "no status's name"
        allowed = ", ".join(task.destination_names)
        message = f"step {task.step.name!r} answered with {what}; allowed are {allowed}"
        yield SqlFailure(row, InvalidOutcome, message)


def _part(result: pa.StructArray, name: str) -> pa.Array:
    return pc.struct_field(result, [name])


def _rows(mask: pa.Array) -> NDArray[np.intp]:
    return np.flatnonzero(mask.to_numpy(zero_copy_only=False))


def _first_of_each(failures: list[SqlFailure]) -> Iterator[SqlFailure]:
    seen: set[int] = set()
    for failure in failures:
        if failure.row not in seen:
            seen.add(failure.row)
            yield failure


# What is to be stored of it.


def _commit_of(
    task: SqlTask, evaluated: pa.Table, failures: list[SqlFailure], random: np.random.Generator
) -> StepCommit:
    rows = np.array([failure.row for failure in failures], np.intp)
    moves = np.ones(evaluated.num_rows, np.bool_)
    moves[rows] = False
    failed = evaluated.take(pa.array(rows, pa.int64()))
    return StepCommit(
        workflow=task.layout.workflow,
        step=task.step,
        moved=_moved(task, evaluated.filter(pa.array(moves))),
        held=_held(task, failed, failures, random),
        errors=_errors(task, failed, failures),
    )


def _moved(task: SqlTask, evaluated: pa.Table) -> pa.Table:
    result = evaluated[RESULT].combine_chunks()
    codes = pa.array(task.destinations, pa.uint8())
    columns = {name: evaluated[name] for name in ("#seq", "#version", "#attempt", "#run_state")}
    columns["#to"] = codes.take(
        pc.index_in(_part(result, STATUS), pa.array(task.destination_names))
    )
    columns["#outcome"] = pa.array(np.full(len(result), Outcome.ADVANCED, np.uint8))
    return pa.table(columns | {name: _part(result, name) for name in task.values})


def _held(
    task: SqlTask, failed: pa.Table, failures: list[SqlFailure], random: np.random.Generator
) -> pa.Table:
    retry = task.step.options.retry
    attempts = failed["#attempt"].to_numpy()
    hopeless = np.array([not retry.retries(failure.error) for failure in failures], np.bool_)
    pauses = hopeless | retry.pauses(attempts)
    states = np.where(pauses, RunState.PAUSED, RunState.RUNNING).astype(np.uint8)
    waits = retry.backoff(attempts, random)
    held = failed.select(["#seq", "#version", "#attempt"])
    added = {
        "#next_attempt": pa.array((attempts + 1).astype(np.int32)),
        "#outcome": pa.array(np.full(len(failures), Outcome.FAILED, np.uint8)),
        "#run_state": pa.array(states),
        "#next_attempt_at": _moments(task.now, waits, pauses),
        "#reason": _reasons(attempts, failures, pauses),
    }
    return pa.table({**dict(zip(held.column_names, held.columns, strict=True)), **added})


def _moments(now: datetime, waits: NDArray[np.float64], pauses: NDArray[np.bool_]) -> pa.Array:
    micros = int(now.timestamp() * 1e6) + (waits * 1e6).astype(np.int64)
    return pa.array(micros, mask=pauses).cast(pa.timestamp("us", "UTC"))


def _reasons(
    attempts: NDArray[np.int32], failures: list[SqlFailure], pauses: NDArray[np.bool_]
) -> pa.Array:
    texts = [
        f"failed {'once' if attempt == 1 else f'{attempt} times in a row'}, "
        f"last with {failure.error.__name__}"
        if paused
        else None
        for attempt, failure, paused in zip(attempts.tolist(), failures, pauses, strict=True)
    ]
    return pa.array(texts, pa.string())


def _errors(task: SqlTask, failed: pa.Table, failures: list[SqlFailure]) -> pa.Table:
    expressions = {"status": task.status, **task.values}
    where = "\n".join(f"{name} = {expression}" for name, expression in expressions.items())
    texts = {
        "type": [failure.error.__name__ for failure in failures],
        "message": [failure.message[:MESSAGE_CHARACTERS] for failure in failures],
        "traceback": [f"in {task.step.name}:\n{where}"] * len(failures),
        "fingerprint": [_fingerprint(failure.error, where) for failure in failures],
    }
    columns = {name: pa.array(text, pa.string()) for name, text in texts.items()}
    return pa.table({"#seq": failed["#seq"], "#attempt": failed["#attempt"], **columns})


def _fingerprint(error: type[BaseException], where: str) -> str:
    digest = hashlib.sha256(f"{error.__qualname__}\n{where}".encode())
    return digest.hexdigest()[:FINGERPRINT_CHARACTERS]


def _summary(commit: StepCommit) -> CommitSummary:
    counts = np.zeros(len(Outcome), np.int64)
    counts[Outcome.ADVANCED] = commit.moved.num_rows
    counts[Outcome.FAILED] = commit.held.num_rows
    return CommitSummary(
        applied=int(counts.sum()),
        counts=counts,
        landed=_landed(commit.moved),
        paused=int((commit.held["#run_state"].to_numpy() == RunState.PAUSED).sum()),
        next_attempt_at=pc.min(commit.held["#next_attempt_at"]).as_py(),
    )


def _landed(moved: pa.Table) -> pa.Table:
    buckets = pc.shift_right(moved["#seq"], pa.scalar(BUCKET_BITS, pa.int64()))
    landed = pa.table({"to": moved["#to"], "bucket": buckets})
    counted = landed.group_by(["to", "bucket"]).aggregate([([], "count_all")])
    return counted.rename_columns(["to", "bucket", "rows"]).cast(LANDED_SCHEMA)
