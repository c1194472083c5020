"""The values of a SQL step's expressions for each run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.errors import InvalidObject
from batchflow.store.database.duckdb_message import message_of
from batchflow.store.database.fetching import fetch
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, staged
from batchflow.store.runs.claimable import CLAIMED_COLUMNS
from batchflow.store.runs.exact_values import ExactValue
from batchflow.store.schema.layout import quote
from batchflow.store.sql_steps.own_errors import OwnErrors, own_errors
from batchflow.store.sql_steps.sql_task import STORAGE_ERRORS, SqlTask

MESSAGES_QUERIED = 200
_CALLS_ERROR: Final = re.compile(r"\berror\s*\(", re.IGNORECASE)
Values: TypeAlias = Mapping[str, ExactValue]

RESULT = "#result"
STATUS = "#status"


@dataclass(frozen=True)
class SqlFailure:
    """The failure of one run.

    Attributes:
        row: Its row among the evaluated runs.
        error: The class of the error.
        message: The error's message.
        queried: Whether the message is its own, and not that of another run.
    """

    row: int
    error: type[BaseException]
    message: str
    queried: bool = True

    @property
    def shown_message(self) -> str:
        """The message for people."""
        return self.message if self.queried else f"As for other runs, such as: {self.message}"


def evaluate(reader: Cursor, task: SqlTask, values: Values) -> tuple[pa.Table, list[SqlFailure]]:
    """Evaluate a step's expressions once for each run, and find the runs for which one raises.

    Returns:
        The runs as claimed with a column ``#result``: a struct of ``#status`` and each field that
        is set, null if an expression raises. And the failures.
    """
    try:
        evaluated = _evaluated(reader, task, f"TRY({_result(task, values)})")
    except STORAGE_ERRORS:
        raise
    except duckdb.Error:
        # TRY accepts neither volatile functions nor subqueries, and doesn't catch each error.
        return _evaluate_without_try(reader, task, values)
    rows = np.flatnonzero(evaluated[RESULT].is_null().to_numpy()).tolist()
    return evaluated, list(_raised(reader, task, values, evaluated["#seq"], rows))


def _result(task: SqlTask, values: Values) -> str:
    parts = [f"{quote(STATUS)} := {task.status}"]
    parts += [f"{quote(name)} := {value.raw}" for name, value in values.items()]
    return f"struct_pack({', '.join(parts)})"


def _evaluated(reader: Cursor, task: SqlTask, result: str, also: str = "") -> pa.Table:
    columns = ", ".join([*CLAIMED_COLUMNS, f"{result} AS {quote(RESULT)}"])
    query = f"SELECT {columns} FROM {task.layout.runs} WHERE {task.claimable} {also}"
    return fetch(reader.sql(query, params=task.parameters)).combine_chunks()


def _raised(
    reader: Cursor, task: SqlTask, values: Values, seqs: pa.ChunkedArray, rows: list[int]
) -> Iterator[SqlFailure]:
    """Query the error of each run again, up to a limit, because TRY doesn't return it.

    The others have the message of a run for which the same expression raises.
    """
    alike = {0: rows}
    if len(rows) > MESSAGES_QUERIED:
        alike = _by_expression(reader, task, values, seqs, rows)
    for group in alike.values():
        most = max(1, MESSAGES_QUERIED // len(alike))
        queried = [_queried(reader, task, values, seqs[row].as_py(), row) for row in group[:most]]
        yield from queried
        for row in group[most:]:
            yield SqlFailure(row, queried[-1].error, queried[-1].message, queried=False)


def _by_expression(
    reader: Cursor, task: SqlTask, values: Values, seqs: pa.ChunkedArray, rows: list[int]
) -> dict[int, list[int]]:
    """Return the rows by the first of the step's expressions that raises."""
    parts = [task.status, *(value.raw for value in values.values())]
    raises = (
        f"WHEN TRY(struct_pack(value := {part})) IS NULL THEN {place}"
        for place, part in enumerate(parts)
    )
    chosen = pa.table({"#seq": seqs.take(pa.array(rows))})
    try:
        with staged(reader, chosen):
            among = f'AND seq IN (SELECT "#seq" FROM {STAGED})'
            found = _evaluated(
                reader, task, f"CASE {' '.join(raises)} ELSE {len(parts)} END", among
            )
    except STORAGE_ERRORS:
        raise
    except duckdb.Error:
        return {0: rows}
    places = dict(zip(found["#seq"].to_pylist(), found[RESULT].to_pylist(), strict=True))
    alike: dict[int, list[int]] = {}
    for row, seq in zip(rows, chosen["#seq"].to_pylist(), strict=True):
        alike.setdefault(places[seq], []).append(row)
    return alike


def _queried(reader: Cursor, task: SqlTask, values: Values, seq: int, row: int) -> SqlFailure:
    try:
        _evaluated(reader, task, _result(task, values), f"AND seq = {seq}")
    except STORAGE_ERRORS:
        raise
    except duckdb.Error as error:
        return _failure(task, row, error)
    return SqlFailure(
        row, InvalidObject, "An expression raised, but not when it was evaluated again."
    )


def _evaluate_without_try(
    reader: Cursor, task: SqlTask, values: Values
) -> tuple[pa.Table, list[SqlFailure]]:
    own = own_errors(_result(task, values))
    if own is not None:
        try:
            return _evaluate_beside_own_errors(reader, task, values, own)
        except STORAGE_ERRORS:
            raise
        except duckdb.Error:
            # Another function is volatile, or something else raises only without TRY.
            pass
    return _evaluate_by_halves(reader, task, values)


def _evaluate_beside_own_errors(
    reader: Cursor, task: SqlTask, values: Values, own: OwnErrors
) -> tuple[pa.Table, list[SqlFailure]]:
    """Find the runs for which an expression raises, and evaluate it for the others."""
    message = f"CASE WHEN TRY({own.raising}) IS NULL THEN coalesce(TRY({own.message}), '') END"
    found = _evaluated(reader, task, message)
    raised = found.filter(found[RESULT].is_valid())
    with staged(reader, raised.select(["#seq"])):
        others = f'AND seq NOT IN (SELECT "#seq" FROM {STAGED})'
        evaluated = _evaluated(reader, task, _result(task, values), others)
    runs = pa.concat_tables(
        [raised.drop_columns([RESULT]), evaluated], promote_options="default"
    ).combine_chunks()
    messages = raised[RESULT].to_pylist()
    own_ones = [
        SqlFailure(row, duckdb.InvalidInputException, message)
        for row, message in enumerate(messages)
        if message
    ]
    rows = [row for row, message in enumerate(messages) if not message]
    return runs, [*own_ones, *_raised(reader, task, values, runs["#seq"], rows)]


def _evaluate_by_halves(
    reader: Cursor, task: SqlTask, values: Values
) -> tuple[pa.Table, list[SqlFailure]]:
    result = _result(task, values)
    claimed = _evaluated(reader, task, "NULL").drop_columns([RESULT])
    # No run, but the struct's type, in case every run fails.
    pieces = [_evaluated(reader, task, result, "AND false")]
    errors: dict[int, duckdb.Error] = {}
    pending = [np.sort(claimed["#seq"].to_numpy())]
    while pending:
        seqs = pending.pop()
        bounds = f"AND seq BETWEEN {seqs[0]} AND {seqs[-1]}"
        try:
            pieces.append(_evaluated(reader, task, result, bounds))
        except STORAGE_ERRORS:
            raise
        except duckdb.Error as error:
            if len(seqs) > 1:
                pending += np.array_split(seqs, 2)
            else:
                errors[int(seqs[0])] = error
    return _with_raised(task, claimed, pieces, errors)


def _with_raised(
    task: SqlTask, claimed: pa.Table, pieces: list[pa.Table], errors: dict[int, duckdb.Error]
) -> tuple[pa.Table, list[SqlFailure]]:
    raised = claimed.filter(pc.is_in(claimed["#seq"], value_set=pa.array(list(errors), pa.int64())))
    evaluated = pa.concat_tables([raised, *pieces], promote_options="default").combine_chunks()
    found = [errors[seq] for seq in raised["#seq"].to_pylist()]
    return evaluated, [_failure(task, row, error) for row, error in enumerate(found)]


def _failure(task: SqlTask, row: int, error: duckdb.Error) -> SqlFailure:
    # A step's own message, from SQL's error(), is kept as it is.
    own = isinstance(error, duckdb.InvalidInputException) and _raises_itself(task)
    return SqlFailure(row, type(error), message_of(error, values=task.log_values or own))


def _raises_itself(task: SqlTask) -> bool:
    expressions = (task.status, *task.step.set_expressions.values())
    return any(_CALLS_ERROR.search(sql) for sql in expressions)
