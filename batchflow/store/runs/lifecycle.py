"""Pausing, resuming and cancelling runs by the set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from batchflow.errors import QueryError, RunNotFoundError
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.fetching import fetch
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, seq_range, staged
from batchflow.store.database.store_error import store_error_of
from batchflow.store.query.local_source import LocalSource
from batchflow.store.query.queries import (
    has_transitions,
    predicate,
    refused_predicate,
)
from batchflow.store.query.stored_tables import stored_tables, the_stored
from batchflow.store.runs.moving import TRANSITION_COLUMNS
from batchflow.store.schema.layout import RESUMED, SEQ_BITS, literal
from batchflow.store.schema.run_id import require_run_id
from batchflow.store.schema.tables import Tables

SHOWN_RUN_IDS = 3


@dataclass(frozen=True)
class Moved:
    """Say how many runs were moved, and how many refused because of their run state."""

    moved: int
    refused: int


@dataclass(frozen=True)
class Verb:
    """Say from which run states a verb leads to which, and what else it changes."""

    outcome: str
    to: RunState
    sources: tuple[RunState, ...]
    assignments: tuple[str, ...]


PAUSE: Final = Verb(
    Outcome.PAUSED.name.lower(), RunState.PAUSED, sources_of(RunState.PAUSED), ("reason = $reason",)
)
CANCEL: Final = Verb(
    Outcome.CANCELLED.name.lower(),
    RunState.CANCELLED,
    sources_of(RunState.CANCELLED),
    ("reason = $reason", "next_attempt_at = NULL"),
)
RESUME: Final = Verb(
    RESUMED,
    RunState.RUNNING,
    # A run that was only triggered may start running too, but there is nothing to resume.
    tuple(state for state in sources_of(RunState.RUNNING) if state.stopped),
    ("reason = NULL", "next_attempt_at = NULL", "attempt = 1"),
)


VERBS: Final = {"pause": PAUSE, "resume": RESUME, "cancel": CANCEL}


@dataclass(frozen=True)
class Move:
    """Say what is done to runs, why and when, and whether their transitions are recorded."""

    verb: Verb
    reason: str | None
    now: datetime
    recorded: bool


def move_stored(
    connection: Connection,
    name: str,
    verb: Verb,
    chosen: str | list[UUID],
    reason: str | None,
    now: datetime,
) -> Moved:
    """Move runs of a workflow as it is found in the store, without its definition; see `move`.

    Raises:
        QueryError: also if there is no such workflow.
    """
    source = LocalSource(connection)
    tables = the_stored(stored_tables(source), name)
    wanted = Move(verb, reason, now, recorded=has_transitions(source, tables))
    return move(connection, tables, wanted, chosen)


def move(connection: Connection, tables: Tables, wanted: Move, chosen: str | list[UUID]) -> Moved:
    """Move the runs that a predicate or their ids choose, in one transaction.

    Raises:
        QueryError: the predicate can't be executed.
        RunNotFoundError: there are no runs with some of the ids; nothing is moved then.
    """
    with connection.write() as cursor:
        allowed, refused = _choose(cursor, tables, wanted.verb, chosen)
        if allowed.num_rows:
            with staged(cursor, allowed):
                _move_staged(cursor, tables, wanted, seq_range(allowed))
    return Moved(allowed.num_rows, refused)


def selection(where: str | None, run_ids: Sequence[UUID] | None) -> str | list[UUID]:
    """Return the one of both that is given, or raise QueryError."""
    if (where is None) == (run_ids is None):
        raise QueryError(
            'Which runs is said by where= (a predicate, like "status = \'PAID\'", or "true" for '
            "all) or by run_ids=; give one of the two."
        )
    return _run_ids(run_ids) if where is None else where


def _run_ids(given: object) -> list[UUID]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise QueryError(f"run_ids is {given!r}; give a list of uuid.UUID.")
    ids = list(given)
    for run_id in ids:
        require_run_id(run_id)
    return ids


def _move_staged(cursor: Cursor, tables: Tables, wanted: Move, seqs: tuple[int, int]) -> None:
    (first, last), verb = seqs, wanted.verb
    chosen = f'r.seq = s."#seq" AND r.seq BETWEEN {first} AND {last}'
    to = literal(verb.to.name)
    if wanted.recorded:
        cursor.execute(
            f"INSERT INTO {tables.transitions} ({TRANSITION_COLUMNS}) "
            f"SELECT r.seq, status, status, {literal(verb.outcome)}, {to}, attempt, version + 1, "
            f"$now FROM {tables.runs} AS r, {STAGED} AS s WHERE {chosen}",
            {"now": wanted.now},
        )
    crash_point.reached("within_control")
    changes = ", ".join([f"run_state = {to}", *verb.assignments])
    # A parameter that a statement doesn't use is an error.
    named = {"now": wanted.now} | ({"reason": wanted.reason} if "$reason" in changes else {})
    cursor.execute(
        f"UPDATE {tables.runs} AS r SET version = version + 1, updated_at = $now, {changes} "
        f"FROM {STAGED} AS s WHERE {chosen}",
        named,
    )


def _choose(
    cursor: Cursor, tables: Tables, verb: Verb, chosen: str | list[UUID]
) -> tuple[pa.Table, int]:
    """Return the ``#seq`` of the runs that may be moved, and how many may not."""
    states = ", ".join(literal(state.name) for state in verb.sources)
    query = f'SELECT r.seq AS "#seq", r.run_state IN ({states}) AS allowed FROM {tables.runs} AS r'
    if isinstance(chosen, list):
        found = _found_by_id(cursor, tables, query, chosen)
    else:
        found = _found_where(cursor, tables, query, chosen)
    allowed = found.filter(found["allowed"]).select(["#seq"])
    return allowed, found.num_rows - allowed.num_rows


def _found_where(cursor: Cursor, tables: Tables, query: str, where: str) -> pa.Table:
    condition = predicate(cursor, tables, where)
    try:
        return fetch(cursor.sql(f"{query} WHERE {condition}"))
    except duckdb.Error as error:
        if store_error_of(error) is not None:
            raise
        raise refused_predicate(tables, where, message_of(error)) from cause(error)


def _found_by_id(cursor: Cursor, tables: Tables, query: str, run_ids: Sequence[UUID]) -> pa.Table:
    # Ids are Python's 128-bit integers, which no column operation takes.
    seqs = [run_id.int - tables.run_id_base for run_id in dict.fromkeys(run_ids)]
    known = [seq if 0 <= seq < 1 << SEQ_BITS else -1 for seq in seqs]
    wanted = pa.table({"#seq": pa.array(known, pa.int64())})
    with staged(cursor, wanted):
        found = fetch(cursor.sql(f'{query}, {STAGED} AS s WHERE r.seq = s."#seq"'))
    if found.num_rows < len(known):
        missing = pc.invert(pc.is_in(wanted["#seq"], value_set=found["#seq"].combine_chunks()))
        raise _not_found(tables, list(dict.fromkeys(run_ids)), missing)
    return found


def _not_found(
    tables: Tables, run_ids: Sequence[UUID], missing: pa.ChunkedArray
) -> RunNotFoundError:
    rows = np.flatnonzero(missing.to_numpy())
    shown = ", ".join(str(run_ids[row]) for row in rows[:SHOWN_RUN_IDS])
    return RunNotFoundError(
        f"Workflow {tables.name!r} has no run with {len(rows):,} of the {len(run_ids):,} run ids "
        f"({shown}{', …' if len(rows) > SHOWN_RUN_IDS else ''}), so nothing was changed: "
        "check the ids and the store's path."
    )
