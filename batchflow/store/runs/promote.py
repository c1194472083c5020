"""Storing the outcome of a rehearsal, for exactly the runs that it was about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from batchflow import crash_point
from batchflow.operation import ControlReport
from batchflow.store.database.connection import Connection
from batchflow.store.database.fetching import fetch
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, registered
from batchflow.store.runs.claimed_runs import ClaimedRuns
from batchflow.store.runs.invariants import breaking
from batchflow.store.runs.moving import ERROR_COLUMNS, TRANSITION_COLUMNS
from batchflow.store.runs.operation_log import log_operation
from batchflow.store.runs.retry import ID_IN_USE, IN_PROGRESS
from batchflow.store.runs.unfinished import UNFINISHED, second_of_id
from batchflow.store.schema.layout import Layout, quote

CHANGED: Final = "changed since"
BEFORE_VERSION: Final = "#version"


@dataclass(frozen=True)
class Promoted:
    """The outcome of a rehearsal.

    Attributes:
        runs: The runs that moved, with the columns of ``runs`` that may have changed, ``seq``, and
            the version that they had before (`BEFORE_VERSION`).
        transitions: Their transitions since then; None if they aren't recorded.
        moves: From which status steps moved them to which, or may have moved them if that isn't
            recorded.
        errors: Their errors since then.
        causes: The causes of these errors.
        reason: Why they are stored.
        unmoved: How many of the rehearsed runs didn't move.
    """

    runs: pa.Table
    transitions: pa.Table | None
    moves: frozenset[tuple[str, str]]
    errors: pa.Table
    causes: pa.Table
    reason: str
    unmoved: int


def promote(
    connection: Connection,
    layout: Layout,
    promoted: Promoted,
    claimed: ClaimedRuns,
    forget_unfinished: Callable[[], None],
    now: datetime,
) -> ControlReport:
    """Store the outcome of a rehearsal in one transaction.

    Runs that changed since they were copied are refused, as are those that a step is executing,
    finished runs that would be unfinished next to another run of their foreign id, and runs that
    would break an invariant of the store's workflow: another one may have moved the copies.
    """
    with connection.write() as cursor:
        forget_unfinished()
        refusals: dict[str, int] = {}
        runs = promoted.runs
        for why, kept in (
            (CHANGED, _unchanged(cursor, layout, runs)),
            (IN_PROGRESS, _not_executing(layout, claimed, runs)),
            (ID_IN_USE, _alone(cursor, layout, runs)),
        ):
            remaining = runs.filter(pc.is_in(runs["seq"], value_set=kept))
            if remaining.num_rows < runs.num_rows:
                refusals[why] = runs.num_rows - remaining.num_rows
            runs = remaining
        broken = _broken(cursor, layout, runs, now)
        refusals |= Counter(f"would break the invariant {name!r}" for name in broken.values())
        runs = runs.filter(pc.invert(pc.is_in(runs["seq"], value_set=pa.array(broken, pa.int64()))))
        seqs = runs["seq"].combine_chunks()
        _update(cursor, layout, runs, now)
        crash_point.reached("within_control")
        _insert(cursor, layout, promoted, seqs, now)
        report = ControlReport("promoted", runs.num_rows, sum(refusals.values()), refusals)
        options = {"rehearsed": promoted.runs.num_rows + promoted.unmoved}
        log_operation(cursor, layout.name, "promote", report, promoted.reason, options, now)
    return report


def _unchanged(cursor: Cursor, layout: Layout, runs: pa.Table) -> pa.Array:
    with registered(cursor, STAGED, runs):
        query = (
            f"SELECT r.seq FROM {layout.runs} AS r, {STAGED} AS s "
            f"WHERE r.seq = s.seq AND r.version = s.{quote(BEFORE_VERSION)}"
        )
        return _seqs(cursor, query)


def _not_executing(layout: Layout, claimed: ClaimedRuns, runs: pa.Table) -> pa.Array:
    executed = claimed.of(layout.name)
    seqs = runs["seq"].combine_chunks()
    if not executed.num_rows:
        return seqs
    under_way = pc.is_in(seqs, value_set=executed["seq"].combine_chunks())
    return seqs.filter(pc.invert(under_way))


def _alone(cursor: Cursor, layout: Layout, runs: pa.Table) -> pa.Array:
    """Return the runs that leave each foreign id with one unfinished run at most."""
    with registered(cursor, STAGED, runs):
        waking = (
            f"SELECT r.seq, r.foreign_id FROM {layout.runs} AS r, {STAGED} AS s "
            f"WHERE r.seq = s.seq AND NOT r.{UNFINISHED} AND s.{UNFINISHED}"
        )
        taken = second_of_id(layout, waking)
        return _seqs(cursor, f"SELECT seq FROM {STAGED} WHERE seq NOT IN ({taken})")


def _broken(cursor: Cursor, layout: Layout, runs: pa.Table, now: datetime) -> dict[int, str]:
    """Return the runs that would break an invariant, each with the name of one.

    Like after a step, only runs with another status or other fields are checked: a run may have
    been loaded as it is, and only its failures are added.
    """
    if not layout.workflow.invariants:
        return {}
    values = _values(layout, runs)
    written = ", ".join(f"{value} AS {quote(name)}" for name, value in values.items())
    fields = {field.column for field in layout.fields}
    differs = " OR ".join(
        f"b.{quote(name)} IS DISTINCT FROM {value}"
        for name, value in values.items()
        if name == "status" or name in fields
    )
    changed = (
        f"(SELECT b.* REPLACE ($now AS updated_at, {written}) "
        f"FROM {layout.runs} AS b JOIN {STAGED} AS s ON b.seq = s.seq WHERE {differs})"
    )
    with registered(cursor, STAGED, runs):
        query = breaking(layout.workflow.invariants, changed)
        return dict(cursor.execute(query, {"now": now}).fetchall())


def _values(layout: Layout, runs: pa.Table) -> dict[str, str]:
    """Return the values of the staged rows by the column of ``runs`` that they are written to."""
    kinds = dict(zip(layout.column_names, layout.column_types, strict=True))
    return {
        name: f"CAST(s.{quote(name)} AS {kinds[name]})"
        for name in runs.column_names
        if name not in ("seq", BEFORE_VERSION)
    }


def _seqs(cursor: Cursor, query: str) -> pa.Array:
    return fetch(cursor.sql(query))["seq"].combine_chunks()


def _update(cursor: Cursor, layout: Layout, runs: pa.Table, now: datetime) -> None:
    changes = ", ".join(f"{quote(name)} = {value}" for name, value in _values(layout, runs).items())
    with registered(cursor, STAGED, runs):
        cursor.execute(
            f"UPDATE {layout.runs} AS r SET updated_at = $now, {changes} "
            f"FROM {STAGED} AS s WHERE r.seq = s.seq",
            {"now": now},
        ).fetchall()


def _insert(
    cursor: Cursor, layout: Layout, promoted: Promoted, seqs: pa.Array, now: datetime
) -> None:
    """Add what happened to some of the runs to the log, at the time of this commit."""
    if layout.workflow.record_transitions and promoted.transitions is not None:
        moves = _of(promoted.transitions, seqs)
        for table, reason, where in (
            (layout.transitions_without_reason, "", "reason IS NULL"),
            (layout.transitions_with_reason, ", reason", "reason IS NOT NULL"),
        ):
            with registered(cursor, STAGED, moves):
                cursor.execute(
                    f"INSERT INTO {table} ({TRANSITION_COLUMNS}{reason}) "
                    f"SELECT {TRANSITION_COLUMNS}{reason} "
                    f"FROM (SELECT * REPLACE ($now AS committed_at) FROM {STAGED} WHERE {where}) "
                    "ORDER BY version, seq",
                    {"now": now},
                ).fetchall()
    with registered(cursor, STAGED, _of(promoted.errors, seqs)):
        cursor.execute(
            f"INSERT INTO {layout.errors} ({ERROR_COLUMNS}) SELECT {ERROR_COLUMNS} "
            f"FROM (SELECT * REPLACE ($now AS committed_at) FROM {STAGED})",
            {"now": now},
        ).fetchall()
    with registered(cursor, STAGED, promoted.causes):
        cursor.execute(
            f"INSERT INTO batchflow.causes FROM {STAGED} AS s "
            "WHERE NOT EXISTS (FROM batchflow.causes AS c WHERE c.cause = s.cause)"
        ).fetchall()


def _of(table: pa.Table, seqs: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table["seq"], value_set=seqs))
