"""Pausing, resuming and cancelling the runs that a predicate or a list of run ids chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow import crash_point
from batchflow.definition.outcome import Outcome
from batchflow.definition.run_state import RunState, sources_of
from batchflow.errors import RunNotFoundError, StoreError
from batchflow.operation import ControlReport
from batchflow.operation.parameters import Params, params_of
from batchflow.operation.requests import Cancel, ControlRuns, Pause, Resume
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.fetching import fetch
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, seq_range, staged
from batchflow.store.database.store_error import store_error_of
from batchflow.store.query.local_source import LocalSource
from batchflow.store.query.queries import has_transitions, predicate, refused_predicate
from batchflow.store.runs.moving import TRANSITION_COLUMNS
from batchflow.store.runs.operation_log import log_operation
from batchflow.store.schema.layout import RESUMED, SEQ_BITS, literal
from batchflow.store.schema.tables import Tables

SHOWN_RUN_IDS: Final = 3
_FINISHED: Final = ", ".join(literal(state.name) for state in RunState if state.finished)


@dataclass(frozen=True)
class RunChange:
    """How an operation changes runs.

    Attributes:
        outcome: What the log records.
        reason: Why the runs are changed.
        refusal: Why the run ``r`` isn't changed, in SQL; NULL if it is.
        run_state: The run state that it leads to; None where it stays.
        assignments: What else it sets, in SQL over the run ``r``.
        evaluate: The function that adds columns to the ``#seq`` of the runs. `assignments` may use
            them, as columns of ``s``. None if there are none.
        to_status: The status that it leads to, in SQL.
        require_sound: Called with the ``#seq`` of the changed runs; raises where they break an
            invariant. None if nothing is checked.
        among: The query for the ``seq`` of the runs to choose from. None for all runs.
        refuse: The function that refuses more of the runs; see `Chosen`. None if there are none.
    """

    outcome: str
    reason: str
    refusal: str
    run_state: RunState | None
    assignments: tuple[str, ...]
    evaluate: Callable[[Cursor, pa.Table], pa.Table] | None = None
    to_status: str = "r.status"
    require_sound: Callable[[Cursor, pa.Table], None] | None = None
    among: str | None = None
    refuse: Callable[[Cursor, Chosen], Chosen] | None = None


@dataclass(frozen=True)
class Chosen:
    """The runs that an operation chooses.

    Attributes:
        allowed: The ``#seq`` of those that it changes.
        finished: The ``#seq`` of those of them that are finished.
        refusals: How many it doesn't change, by why.
    """

    allowed: pa.Table
    finished: pa.Table
    refusals: Mapping[str, int]

    def refuse(self, seqs: pa.Array, why: str) -> Chosen:
        """Return the same with some of the allowed runs refused."""
        if not len(seqs):
            return self
        counts = {**self.refusals, why: self.refusals.get(why, 0) + len(seqs)}
        allowed, finished = (
            rows.filter(pc.invert(pc.is_in(rows["#seq"], value_set=seqs)))
            for rows in (self.allowed, self.finished)
        )
        return Chosen(allowed, finished, counts)


def unless_run_state_is(states: Iterable[RunState]) -> str:
    """Return the refusal of a run that isn't in one of these run states: the one that it is in."""
    allowed = ", ".join(literal(state.name) for state in states)
    return f"CASE WHEN r.run_state NOT IN ({allowed}) THEN r.run_state::VARCHAR END"


def pause_change(request: Pause) -> RunChange:
    """Return what pausing changes."""
    return RunChange(
        outcome=Outcome.PAUSED.name.lower(),
        reason=request.reason,
        refusal=unless_run_state_is(sources_of(RunState.PAUSED)),
        run_state=RunState.PAUSED,
        assignments=("reason = $reason",),
    )


def resume_change(request: Resume) -> RunChange:
    """Return what resuming changes."""
    return RunChange(
        outcome=RESUMED,
        reason=request.reason,
        refusal=unless_run_state_is([RunState.PAUSED]),
        run_state=RunState.RUNNING,
        assignments=("reason = NULL", "next_attempt_at = NULL", "attempt = 1"),
    )


def cancel_change(request: Cancel) -> RunChange:
    """Return what cancelling changes."""
    return RunChange(
        outcome=Outcome.CANCELLED.name.lower(),
        reason=request.reason,
        refusal=unless_run_state_is(sources_of(RunState.CANCELLED)),
        run_state=RunState.CANCELLED,
        assignments=("reason = $reason", "next_attempt_at = NULL"),
    )


def change_runs(
    connection: Connection, tables: Tables, chosen: ControlRuns, change: RunChange, now: datetime
) -> ControlReport:
    """Change the chosen runs whose run state allows it, in one transaction.

    A dry run makes the same checks, but for the invariants.

    Raises:
        QueryError: The predicate can't be executed.
        RunNotFoundError: There are no runs with some of the run ids; nothing is changed.
    """
    recorded = has_transitions(LocalSource(connection), tables)
    # A dry run doesn't hold up the drain that it is beside.
    with connection.trying() if chosen.dry_run else connection.write() as cursor:
        found = _choose(cursor, tables, chosen, change)
        allowed, report = found.allowed, _report(change, found, dry_run=chosen.dry_run)
        evaluate = change.evaluate if allowed.num_rows else None
        staging = allowed if evaluate is None else evaluate(cursor, allowed)
        if allowed.num_rows and not chosen.dry_run:
            with staged(cursor, staging):
                seqs = seq_range(staging)
                counts = _change_staged(cursor, tables, change, now, seqs, recorded=recorded)
            _refuse_unequal(tables, {allowed.num_rows, *counts})
            if change.require_sound is not None:
                change.require_sound(cursor, allowed)
            _log(cursor, tables, chosen, report, now)
    return report


def _report(change: RunChange, found: Chosen, *, dry_run: bool) -> ControlReport:
    refusals = dict(sorted(found.refusals.items(), key=lambda each: (-each[1], each[0])))
    changed, refused = found.allowed.num_rows, sum(refusals.values())
    return ControlReport(change.outcome, changed, refused, refusals, dry_run)


def _log(
    cursor: Cursor, tables: Tables, request: ControlRuns, report: ControlReport, now: datetime
) -> None:
    options = {**request.to_json(), "run_ids": len(request.run_ids or ())}
    log_operation(cursor, tables.name, request.name, report, request.reason, options, now)


def _change_staged(
    cursor: Cursor,
    tables: Tables,
    change: RunChange,
    now: datetime,
    seqs: tuple[int, int],
    *,
    recorded: bool,
) -> set[int]:
    """Record the change and make it; return how many rows each statement wrote."""
    first, last = seqs
    chosen = f'r.seq = s."#seq" AND r.seq BETWEEN {first} AND {last}'
    run_state = "r.run_state" if change.run_state is None else literal(change.run_state.name)
    counts: list[tuple[int]] = []
    if recorded:
        counts += cursor.execute(
            f"INSERT INTO {tables.transitions_with_reason} ({TRANSITION_COLUMNS}, reason) "
            f"SELECT r.seq, r.status, {change.to_status}, {literal(change.outcome)}, {run_state}, "
            f"r.attempt, r.version + 1, $now, $reason FROM {tables.runs} AS r, {STAGED} AS s "
            f"WHERE {chosen}",
            {"now": now, "reason": change.reason},
        ).fetchall()
    crash_point.reached("within_control")
    changes = ", ".join([f"run_state = {run_state}", *change.assignments])
    counts += cursor.execute(
        f"UPDATE {tables.runs} AS r SET version = r.version + 1, updated_at = $now, {changes} "
        f"FROM {STAGED} AS s WHERE {chosen}",
        {"now": now, **({"reason": change.reason} if "$reason" in changes else {})},
    ).fetchall()
    return {count for (count,) in counts}


def _refuse_unequal(tables: Tables, counts: set[int]) -> None:
    """Raise StoreError unless each statement wrote a row for each chosen run."""
    if len(counts) > 1:
        raise StoreError(
            f"The runs of {tables.name!r} can't be changed, and nothing was changed: there would "
            f"be {min(counts):,} rows in one table and {max(counts):,} in another. Report this as "
            "a defect of batchflow, with the operation."
        )


def _choose(cursor: Cursor, tables: Tables, chosen: ControlRuns, change: RunChange) -> Chosen:
    """Return the runs that are changed, and how many aren't."""
    query = (
        f'SELECT r.seq AS "#seq", r.run_state IN ({_FINISHED}) AS finished, '
        f"{change.refusal} AS refused FROM {tables.runs} AS r"
    )
    if change.among is not None:
        query = f"{query} SEMI JOIN ({change.among}) AS among USING (seq)"
    if chosen.where is not None:
        found = _found_where(cursor, tables, query, chosen.where, params_of(chosen.params))
    elif chosen.run_ids is None:
        found = fetch(cursor.sql(query))
    else:
        found = _found_by_id(cursor, tables, query, chosen.run_ids)
    allowed = found.filter(pc.is_null(found["refused"]))
    finished = allowed.filter(allowed["finished"]).select(["#seq"])
    reasons = found["refused"].drop_null().value_counts().to_pylist()
    refusals = {each["values"]: each["counts"] for each in reasons}
    kept = Chosen(allowed.select(["#seq"]), finished, refusals)
    return kept if change.refuse is None else change.refuse(cursor, kept)


def _found_where(
    cursor: Cursor, tables: Tables, query: str, where: str, params: Params
) -> pa.Table:
    condition = predicate(tables, where, params)
    try:
        return fetch(cursor.sql(f"{query} WHERE {condition}", params=params))
    except duckdb.Error as error:
        if store_error_of(error) is not None:
            raise
        raise refused_predicate(tables, where, message_of(error)) from cause(error)


def _found_by_id(cursor: Cursor, tables: Tables, query: str, run_ids: Sequence[UUID]) -> pa.Table:
    # Ids are Python's 128-bit integers, which no column operation takes.
    seqs = [run_id.int - tables.run_id_base for run_id in run_ids]
    known = [seq if 0 <= seq < 1 << SEQ_BITS else -1 for seq in seqs]
    wanted = pa.table({"#seq": pa.array(known, pa.int64())})
    with staged(cursor, wanted):
        found = fetch(cursor.sql(f'{query}, {STAGED} AS s WHERE r.seq = s."#seq"'))
    if found.num_rows < len(known):
        missing = pc.invert(pc.is_in(wanted["#seq"], value_set=found["#seq"].combine_chunks()))
        raise _not_found(tables, run_ids, missing)
    return found


def _not_found(
    tables: Tables, run_ids: Sequence[UUID], missing: pa.ChunkedArray
) -> RunNotFoundError:
    rows = np.flatnonzero(missing.to_numpy())
    shown = ", ".join(str(run_ids[row]) for row in rows[:SHOWN_RUN_IDS])
    more = ", …" if len(rows) > SHOWN_RUN_IDS else ""
    which = f"{len(rows):,} of {len(run_ids):,} run ids" if len(run_ids) > 1 else "the run id"
    return RunNotFoundError(
        f"Workflow {tables.name!r} has no run with {which} ({shown}{more}), and nothing was "
        "changed; check the run ids and the store's path."
    )
