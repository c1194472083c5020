"""The one bulk commit: what steps did to their runs, all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow import crash_point
from batchflow.definition.outcome import Outcome
from batchflow.definition.step import Step
from batchflow.errors import CommitError
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, staged
from batchflow.store.database.store_error import refused_commit
from batchflow.store.runs import moving
from batchflow.store.schema.layout import AnyWorkflow, Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANDED_SCHEMA = pa.schema([("to", pa.uint8()), ("bucket", pa.int64()), ("rows", pa.int64())])


@dataclass(frozen=True, eq=False)
class StepCommit:
    """Hold what one step did to some runs, each of which stands in one of the tables.

    Attributes:
        workflow, step: whose runs they are, and what moved them.
        moved: those that advanced or repeated: ``#seq``, ``#version``, ``#attempt`` and
            ``#run_state`` as claimed, ``#to``, ``#outcome``, then the changed fields by name;
            where a field was written for some runs only, ``#set:<field>`` tells for which.
        held: those that failed, or were paused or cancelled: ``#seq``, ``#version`` and
            ``#attempt`` as claimed, then ``#next_attempt``, ``#outcome``, ``#run_state``,
            ``#next_attempt_at`` and ``#reason`` as they are to be.
        errors: a line for each failure: ``#seq``, ``#attempt``, ``type``, ``message``,
            ``traceback``, ``fingerprint``.
    """

    workflow: AnyWorkflow
    step: Step
    moved: pa.Table
    held: pa.Table
    errors: pa.Table


@dataclass(frozen=True, eq=False)
class CommitSummary:
    """Say what was stored.

    Attributes:
        applied: how many runs were changed.
        refused_seqs: the runs that somebody had changed since they were claimed, int64.
        counts: of a step in the store, runs by outcome, int64 of shape (len(Outcome),).
        landed: of a step in the store, how many runs came to which status: ``to`` (uint8),
            ``bucket`` (int64), ``rows`` (int64).
        paused: of a step in the store, how many of its failures paused their run.
        next_attempt_at: of a step in the store, when the first of its failed runs is due again.
    """

    applied: int
    refused_seqs: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(Outcome), np.int64))
    landed: pa.Table = field(default_factory=LANDED_SCHEMA.empty_table)
    paused: int = 0
    next_attempt_at: datetime | None = None


# Where seqs are spread wider than this, marking them costs more than sorting them.
_SPARSE = 64


class _OutdatedError(Exception):
    """Some of the runs aren't any more what they were when they were claimed."""


def commit_steps(
    connection: Connection,
    layouts: Mapping[str, Layout],
    commits: Sequence[StepCommit],
    now: datetime,
) -> list[CommitSummary]:
    """Store all of it in one transaction, but for runs that were changed since their claim.

    Raises:
        CommitError: nothing was stored; smaller commits may be.
        DiskFullError, StoreError: no other commit would be stored; this one is whole, or isn't.
    """
    pairs = [(layouts[each.workflow.name], each) for each in commits]
    with refusing(connection):
        try:
            return _commit_whole(connection, pairs, now)
        except _OutdatedError:
            return _commit_standing(connection, pairs, now)


@contextmanager
def refusing(connection: Connection) -> Iterator[None]:
    """Say of a commit that DuckDB refuses whether a smaller one may pass, and help that along."""
    try:
        try:
            yield
        except duckdb.Error as error:
            raise refused_commit(error) from cause(error)
    except CommitError:
        # Smaller ones need memory too, and those before may have left none.
        connection.fold_log()
        raise


def _commit_whole(
    connection: Connection, pairs: Sequence[tuple[Layout, StepCommit]], now: datetime
) -> list[CommitSummary]:
    with connection.write() as cursor:
        return [CommitSummary(apply(cursor, layout, each, now)) for layout, each in pairs]


def _commit_standing(
    connection: Connection, pairs: Sequence[tuple[Layout, StepCommit]], now: datetime
) -> list[CommitSummary]:
    # Looking for them first would cost every commit a pass, and it is rare that any is refused.
    with connection.write() as cursor:
        summaries = []
        for layout, each in pairs:
            standing, refused = _split(cursor, layout, each)
            try:
                applied = apply(cursor, layout, standing, now)
            except _OutdatedError:
                raise _twice(each.step) from None
            summaries.append(CommitSummary(applied, refused))
        return summaries


def apply(cursor: Cursor, layout: Layout, commit: StepCommit, now: datetime) -> int:
    """Store one step's results within the caller's transaction; return how many runs changed."""
    if _has_a_run_twice(commit.moved) or _has_a_run_twice(commit.held):
        raise _twice(commit.step)
    _update(cursor, commit.moved, moving.update_moved(layout, commit.step, commit.moved), now)
    _update(cursor, commit.held, moving.update_held(layout, commit.step, commit.held), now)
    crash_point.reached("within_commit")
    _insert(cursor, commit.errors, moving.insert_errors(layout, commit.step), now)
    if layout.workflow.record_transitions:
        moved = moving.insert_moved_transitions(layout, commit.step, commit.moved)
        _insert(cursor, commit.moved, moved, now)
        held = moving.insert_held_transitions(layout, commit.step, commit.held)
        _insert(cursor, commit.held, held, now)
    return int(commit.moved.num_rows + commit.held.num_rows)


def _has_a_run_twice(table: pa.Table) -> bool:
    # An UPDATE would apply one of both; whether it counts both has changed from DuckDB to DuckDB.
    if table.num_rows < 2:
        return False
    seqs = table["#seq"].to_numpy()
    first, last = seqs.min(), seqs.max()
    if last - first > _SPARSE * len(seqs):
        return len(np.unique(seqs)) < len(seqs)
    seen = np.zeros(last - first + 1, np.bool_)
    seen[seqs - first] = True
    return bool(np.count_nonzero(seen) < len(seqs))


def _twice(step: Step) -> CommitError:
    return CommitError(
        f"A commit of step {step.name!r} has the same run twice, so nothing of it is stored; "
        "please report this."
    )


def _update(cursor: Cursor, table: pa.Table, statement: str, now: datetime) -> None:
    if table.num_rows and _execute(cursor, table, statement, now) != table.num_rows:
        raise _OutdatedError


def _insert(cursor: Cursor, table: pa.Table, statement: str, now: datetime) -> None:
    if table.num_rows:
        _execute(cursor, table, statement, now)


def _execute(cursor: Cursor, table: pa.Table, statement: str, now: datetime) -> int:
    with staged(cursor, table):
        [(count,)] = cursor.execute(statement, {"now": now}).fetchall()
    return int(count)


def _split(
    cursor: Cursor, layout: Layout, commit: StepCommit
) -> tuple[StepCommit, NDArray[np.int64]]:
    """Keep what still stands as it was claimed, and return the seqs of the others."""
    standing = pa.concat_arrays(
        [_standing(cursor, layout, commit.step, table) for table in (commit.moved, commit.held)]
    )
    claimed = pa.concat_tables([commit.moved.select(["#seq"]), commit.held.select(["#seq"])])
    refused = claimed.filter(pc.invert(pc.is_in(claimed["#seq"], value_set=standing)))
    kept = (
        table.filter(pc.is_in(table["#seq"], value_set=standing))
        for table in (commit.moved, commit.held, commit.errors)
    )
    return StepCommit(commit.workflow, commit.step, *kept), refused["#seq"].to_numpy()


def _standing(cursor: Cursor, layout: Layout, step: Step, table: pa.Table) -> pa.Array:
    if not table.num_rows:
        return pa.array([], pa.int64())
    query = (
        f"SELECT r.seq FROM {layout.runs} AS r, {STAGED} AS s "
        f"WHERE {moving.as_claimed(layout, step, table)}"
    )
    with staged(cursor, table):
        return cursor.sql(query).to_arrow_table()["seq"].combine_chunks()
