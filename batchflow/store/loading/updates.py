"""Let rows of a source replace the objects of unfinished runs that no drain has claimed."""

from __future__ import annotations

from typing import Final

from batchflow import crash_point
from batchflow.operation import ControlReport
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, staged
from batchflow.store.loading.load_checks import STAGE, VALID, Load
from batchflow.store.loading.load_plan import STAGED_ID, LoadedColumn
from batchflow.store.query.queries import HAS_TRANSITIONS
from batchflow.store.runs.moving import TRANSITION_COLUMNS
from batchflow.store.runs.operation_log import log_operation
from batchflow.store.runs.unfinished import UNFINISHED
from batchflow.store.schema.layout import EDITED, literal, quote

UPDATES: Final = "temp.batchflow_updates"
CLAIMED: Final = "temp.batchflow_claimed"

# The commit of a run that is being executed would be refused, and its step executed again.
UPDATABLE: Final = f"{UNFINISHED} AND seq NOT IN (SELECT seq FROM {CLAIMED})"
"""The condition that a run is unfinished, and no drain has claimed it."""


def stage_claimed(cursor: Cursor, load: Load) -> None:
    """Copy the seqs of the runs that a drain has claimed to a temporary table."""
    with staged(cursor, load.claimed.of(load.layout.name)):
        cursor.execute(f"CREATE TEMP TABLE {CLAIMED} AS SELECT seq FROM {STAGED}").fetchall()


def find_updates(cursor: Cursor, load: Load, conflicts: str) -> int:
    """List the valid rows that replace the object of a run, in a temporary table; count them.

    Args:
        cursor: The transaction's cursor.
        load: The load.
        conflicts: The table of the rows that don't, because of their foreign ids.
    """
    cursor.execute(
        f'CREATE TEMP TABLE {UPDATES} AS SELECT s.rowid AS "row", r.seq '
        f"FROM {STAGE} s JOIN {load.layout.runs} r ON r.foreign_id = s.{STAGED_ID} "
        f"WHERE {VALID} AND {UPDATABLE} "
        f'AND s.rowid NOT IN (SELECT "row" FROM {conflicts})'
    )
    [(count,)] = cursor.execute(f"SELECT count(*) FROM {UPDATES}").fetchall()
    return int(count)


def update_runs(cursor: Cursor, load: Load, count: int, refused: int) -> None:
    """Replace the objects of the listed runs, and record that as an edit.

    Their status, run state and attempts stay. Columns that the source lacks stay as well, and so
    do the values that a record lacks the key of.

    Args:
        cursor: The transaction's cursor.
        load: The load.
        count: The number of listed runs.
        refused: The number of rows that conflict.
    """
    runs = load.layout.runs
    reason = f"updated from {load.source_name}"
    [(first, last)] = cursor.execute(f"SELECT min(seq), max(seq) FROM {UPDATES}").fetchall()
    chosen = f"r.seq = u.seq AND r.seq BETWEEN {first} AND {last}"
    if cursor.execute(HAS_TRANSITIONS, [load.layout.name]).fetchall():
        cursor.execute(
            f"INSERT INTO {load.layout.transitions_with_reason} ({TRANSITION_COLUMNS}, reason) "
            f"SELECT r.seq, status, status, {literal(EDITED)}, run_state, attempt, version + 1, "
            f"$now, $reason FROM {runs} AS r, {UPDATES} AS u WHERE {chosen}",
            {"now": load.now, "reason": reason},
        ).fetchall()
    crash_point.reached("within_control")
    values = ", ".join(f"{c.into} = {_new(c)}" for c in load.columns if c.into != STAGED_ID)
    cursor.execute(
        f"UPDATE {runs} AS r SET version = version + 1, updated_at = $now"
        f"{', ' if values else ''}{values} FROM {UPDATES} AS u, {STAGE} AS s "
        f'WHERE {chosen} AND s.rowid = u."row"',
        {"now": load.now},
    ).fetchall()
    report = ControlReport(EDITED, count, refused)
    options = load.options.to_json()
    log_operation(cursor, load.layout.name, load.options.name, report, reason, options, load.now)


def _new(column: LoadedColumn) -> str:
    if column.absent is None:
        return f"s.{column.into}"
    return f"CASE WHEN s.{quote(column.absent)} THEN r.{column.into} ELSE s.{column.into} END"
