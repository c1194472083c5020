"""Consecutive SQL steps in one transaction: one scan, one UPDATE, and all transitions.

What the steps do is evaluated once for each run, into a temporary table. An UPDATE with nested
expressions instead would evaluate the first step's for each later one, and an INSERT of all
transitions at once would take half as long again as one for each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow import crash_point
from batchflow.definition.outcome import Outcome
from batchflow.definition.run_state import RunState
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import named
from batchflow.store.runs.moving import OUTCOMES, RESET_ATTEMPT, RUN_STATES, TRANSITION_COLUMNS
from batchflow.store.schema.layout import BUCKET_BITS, RUN_STATE_TYPE, quote
from batchflow.store.sql_steps.sql_in_place import KnownCasts
from batchflow.store.sql_steps.sql_result import MOVED_COUNTS_SCHEMA, SqlStepResult, all_moved
from batchflow.store.sql_steps.sql_visit import ATTEMPT, INITIATED, VERSION, SqlVisit, destination

_MOVED: Final = "temp.batchflow_moved"


@dataclass(frozen=True)
class _Moved:
    """The runs that the steps moved.

    Attributes:
        counts: Their number by bucket and by the statuses that they went through: ``bucket``,
            ``rows``, and for each step the column ``#to:<code>``.
        version: Their version as claimed, as SQL.
        retried: Whether some of them have failed before.
        initiated: Whether no step has moved some of them yet.
    """

    counts: pa.Table
    version: str
    retried: bool
    initiated: bool

    def by(self, code: int) -> pa.Table:
        """Return the number of runs that a status's step moved: ``to``, ``bucket``, ``rows``."""
        return _counted(self.counts, code, self.counts[f"#to:{code}"].is_valid())

    def arrived_by(self, code: int, further: list[int]) -> pa.Table:
        """Return the same of those that none of the `further` steps moved."""
        mask = self.counts[f"#to:{code}"].is_valid()
        for later in further:
            mask = pc.and_(mask, self.counts[f"#to:{later}"].is_null())
        return _counted(self.counts, code, mask)


def move_together(cursor: Cursor, visit: SqlVisit, known: KnownCasts) -> list[SqlStepResult]:
    """Move the runs as far as the steps lead, in the caller's transaction.

    Returns the result of the first step, and of each further one that was executed for some runs.

    Raises:
        NotInPlaceError: Some of the runs can't be moved together. Roll back.
        duckdb.Error: A step fails for some of the runs. Roll back.
    """
    values = {task.step.from_code: known.values_of(cursor, task) for task in visit.tasks}
    task = visit.tasks[0]
    query = f"CREATE TEMP TABLE {_MOVED} AS {visit.query(values)}"
    cursor.execute(query, task.parameters).fetchall()
    moved = _moved(cursor, visit)
    if moved.counts.num_rows:
        now = {"now": task.now}
        cursor.execute(_update(visit, moved), now).fetchall()
        crash_point.reached("within_commit")
        if visit.layout.workflow.record_transitions:
            for insert in _inserts(visit, moved):
                cursor.execute(insert, now).fetchall()
    cursor.execute(f"DROP TABLE {_MOVED}").fetchall()
    return list(_results(visit, moved))


def _moved(cursor: Cursor, visit: SqlVisit) -> _Moved:
    columns = [destination(task.step.from_code) for task in visit.tasks]
    query = (
        f"SELECT {', '.join(columns)}, seq >> {BUCKET_BITS} AS bucket, count(*) AS rows, "
        f"min({VERSION}) AS least, max({VERSION}) AS greatest, max({ATTEMPT}) AS attempt, "
        f"count(*) FILTER ({INITIATED}) AS initiated FROM {_MOVED} GROUP BY ALL"
    )
    counted = cursor.sql(query).to_arrow_table()
    least, greatest = pc.min(counted["least"]).as_py(), pc.max(counted["greatest"]).as_py()
    return _Moved(
        counts=counted,
        version=str(least) if least == greatest else VERSION,
        retried=(pc.max(counted["attempt"]).as_py() or 1) > 1,
        initiated=(pc.sum(counted["initiated"]).as_py() or 0) > 0,
    )


def _counted(counts: pa.Table, code: int, mask: pa.ChunkedArray) -> pa.Table:
    chosen = counts.filter(mask).select([f"#to:{code}", "bucket", "rows"])
    return chosen.rename_columns(["to", "bucket", "rows"]).cast(MOVED_COUNTS_SCHEMA)


def _codes_to(moved: _Moved, code: int) -> tuple[int, ...]:
    """Return the codes of the statuses to which the step of a status moved runs."""
    codes = pc.unique(moved.counts[f"#to:{code}"]).to_pylist()
    return tuple(sorted(code for code in codes if code is not None))


def _update(visit: SqlVisit, moved: _Moved) -> str:
    layout, workflow = visit.layout, visit.layout.workflow
    columns = [destination(task.step.from_code) for task in visit.tasks]
    last = f"coalesce({', '.join(reversed(columns))})"
    at = _last_codes(visit, moved)
    status, state = _status_at(visit, last, at)
    moves = " + ".join(f"({column} IS NOT NULL)::INTEGER" for column in columns)
    changes = [
        f"version = r.version + {moves}",
        "updated_at = $now",
        f"status = {status}",
    ]
    if moved.initiated or not workflow.terminal_codes.isdisjoint(at):
        changes.append(f"run_state = {state}")
    if moved.retried:
        changes += RESET_ATTEMPT
    for name in visit.field_names:
        column = quote(workflow.field(name).column)
        changes.append(f"{column} = m.{column}")
    task = visit.tasks[0]
    return (
        f"UPDATE {layout.runs} AS r SET {', '.join(changes)} FROM {_MOVED} AS m "
        f"WHERE r.seq = m.seq AND r.seq BETWEEN {task.first_seq} AND {task.last_seq}"
    )


def _last_codes(visit: SqlVisit, moved: _Moved) -> tuple[int, ...]:
    codes = [task.step.from_code for task in visit.tasks]
    reached = {
        to
        for place, code in enumerate(codes)
        for to in moved.arrived_by(code, codes[place + 1 :])["to"].to_pylist()
    }
    return tuple(sorted(reached))


def _status_at(visit: SqlVisit, column: str, codes: tuple[int, ...]) -> tuple[str, str]:
    """Return the status and the run state of runs whose status has the code in a column."""
    layout, terminal = visit.layout, visit.layout.workflow.terminal_codes
    statuses = {code: layout.status(code) for code in codes}
    ends = {code: RunState.COMPLETED if code in terminal else RunState.RUNNING for code in codes}
    states = {code: RUN_STATES[state] for code, state in ends.items()}
    one = len(set(states.values())) == 1
    return (
        named(column, codes, statuses, layout.status_type),
        states[codes[0]] if one else named(column, codes, states, RUN_STATE_TYPE),
    )


def _inserts(visit: SqlVisit, moved: _Moved) -> Iterator[str]:
    layout = visit.layout
    for task in visit.tasks:
        code = task.step.from_code
        is_first = task is visit.tasks[0]
        attempt = ATTEMPT if is_first and moved.retried else "1"
        version = f"{moved.version} + {_moves_before(visit, moved, code)} + 1"
        to_codes = _codes_to(moved, code)
        if to_codes:
            to, state = _status_at(visit, destination(code), to_codes)
            yield (
                f"INSERT INTO {layout.transitions_without_reason} ({TRANSITION_COLUMNS}) "
                f"SELECT seq, {layout.status(code)}, {to}, {OUTCOMES[Outcome.ADVANCED]}, {state}, "
                f"{attempt}, {version}, $now FROM {_MOVED} WHERE {destination(code)} IS NOT NULL"
            )


def _moves_before(visit: SqlVisit, moved: _Moved, code: int) -> str:
    """Return how many steps moved the runs before this one; mostly a constant."""
    counts = moved.counts.filter(moved.counts[f"#to:{code}"].is_valid())
    before = [counts[f"#to:{task.step.from_code}"] for task in visit.before(code)]
    moves = np.sum([column.is_valid().to_numpy() for column in before], axis=0, dtype=np.int64)
    numbers = np.unique(moves)
    return str(numbers[0]) if len(numbers) == 1 else visit.moves_before(code)


def _results(visit: SqlVisit, moved: _Moved) -> Iterator[SqlStepResult]:
    codes = [task.step.from_code for task in visit.tasks]
    for place, task in enumerate(visit.tasks):
        by = moved.by(codes[place])
        if by.num_rows or place == 0:
            arrived = moved.arrived_by(codes[place], codes[place + 1 :])
            yield all_moved(task.step, by, arrived)
