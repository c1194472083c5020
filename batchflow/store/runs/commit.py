"""The bulk commit: it stores the results of steps, all of them or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow import crash_point
from batchflow.definition.step import Step
from batchflow.errors import CommitError
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause
from batchflow.store.database.staging import STAGE, Stage
from batchflow.store.database.store_error import refused_commit
from batchflow.store.runs import moving
from batchflow.store.runs.causes import insert_causes
from batchflow.store.runs.cost_log import CostLog
from batchflow.store.runs.invariants import RunsBreakInvariantsError, isolated, require_sound
from batchflow.store.runs.step_commit import CommitResult, StepCommit
from batchflow.store.schema.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray


# If the seqs are less dense than this, marking them costs more than sorting them.
_SPARSE = 64


class _OutdatedError(Exception):
    """Some of the runs have changed since they were claimed."""


def commit_steps(
    connection: Connection,
    layouts: Mapping[str, Layout],
    commits: Sequence[StepCommit],
    now: datetime,
    costs: CostLog,
) -> list[CommitResult]:
    """Store the results in one transaction, except for runs that have changed since their claim.

    The costs of earlier commits are stored as well, if they are due.

    Raises:
        CommitError: Nothing was stored; smaller commits may succeed.
        DiskFullError: The disk is full, so no other commit would succeed either.
        StoreError: As for a full disk; the commit may have been stored as a whole.
    """
    pairs = [(layouts[each.workflow.name], each) for each in commits]
    with refusing(connection):
        while True:
            try:
                results = _commit(connection, pairs, now, costs)
            except RunsBreakInvariantsError as error:
                pairs = [(layout, isolated(each, error)) for layout, each in pairs]
            else:
                return [
                    result if stored is given else replace(result, instead=stored)
                    for given, (_, stored), result in zip(commits, pairs, results, strict=True)
                ]


def _commit(
    connection: Connection,
    pairs: Sequence[tuple[Layout, StepCommit]],
    now: datetime,
    costs: CostLog,
) -> list[CommitResult]:
    try:
        return _commit_whole(connection, pairs, now, costs)
    except _OutdatedError:
        return _commit_unchanged(connection, pairs, now)


class WriteInterruptedError(Exception):
    """A write was interrupted, and nothing of it is stored."""


@contextmanager
def refusing(connection: Connection) -> Iterator[None]:
    """Raise CommitError for an error of DuckDB if a smaller commit may succeed."""
    try:
        try:
            yield
        except duckdb.InterruptException as error:
            raise WriteInterruptedError from error
        except duckdb.Error as error:
            raise refused_commit(error) from cause(error)
    except CommitError:
        # Smaller commits need memory too, and earlier ones may have left none.
        connection.fold_log()
        raise


def _commit_whole(
    connection: Connection,
    pairs: Sequence[tuple[Layout, StepCommit]],
    now: datetime,
    costs: CostLog,
) -> list[CommitResult]:
    stage = connection.stage()
    due = costs.due
    with connection.write() as cursor:
        results = [CommitResult(apply(stage, layout, each, now)) for layout, each in pairs]
        require_sound(stage, pairs)
        if due:
            costs.insert(cursor)
    if due:
        costs.clear()
    return results


def _commit_unchanged(
    connection: Connection, pairs: Sequence[tuple[Layout, StepCommit]], now: datetime
) -> list[CommitResult]:
    # Looking for changed runs first would cost every commit a scan, and they are rare.
    stage = connection.stage()
    with connection.write():
        results, stored = [], []
        for layout, each in pairs:
            unchanged, refused = _split(stage, layout, each)
            stored.append((layout, unchanged))
            try:
                applied = apply(stage, layout, unchanged, now)
            except _OutdatedError:
                raise _twice(each.step) from None
            results.append(CommitResult(applied, refused))
        require_sound(stage, stored)
        return results


def apply(stage: Stage, layout: Layout, commit: StepCommit, now: datetime) -> int:
    """Store one step's results in the caller's transaction; return the number of changed runs."""
    if _has_a_run_twice(commit.moved) or _has_a_run_twice(commit.unmoved):
        raise _twice(commit.step)
    _update(stage, commit.moved, moving.update_moved(layout, commit.step, commit.moved), now)
    _update(stage, commit.unmoved, moving.update_unmoved(layout, commit.step, commit.unmoved), now)
    crash_point.reached("within_commit")
    _insert(stage, commit.errors, moving.insert_errors(layout, commit.step), now)
    insert_causes(stage, commit.causes, now)
    if layout.workflow.record_transitions:
        moves = commit.moved if commit.transitions is None else commit.transitions
        _insert(stage, moves, moving.insert_moves(layout, commit.step, moves), now)
        for unmoved in moving.insert_unmoved_transitions(layout, commit.step, commit.unmoved):
            _insert(stage, commit.unmoved, unmoved, now)
    return commit.num_rows


def _has_a_run_twice(table: pa.Table) -> bool:
    # An UPDATE would apply one of both rows; versions of DuckDB differ in whether it counts both.
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
        f"A commit of step {step.name!r} has the same run twice, so nothing of it is stored. "
        "Please report this."
    )


def _update(stage: Stage, table: pa.Table, statement: str, now: datetime) -> None:
    if table.num_rows and _execute(stage, table, statement, now) != table.num_rows:
        raise _OutdatedError


def _insert(stage: Stage, table: pa.Table, statement: str, now: datetime) -> None:
    if table.num_rows:
        _execute(stage, table, statement, now)


def _execute(stage: Stage, table: pa.Table, statement: str, now: datetime) -> int:
    with stage.holding(table) as cursor:
        [(count,)] = cursor.execute(statement, {"now": now}).fetchall()
    return int(count)


def _split(
    stage: Stage, layout: Layout, commit: StepCommit
) -> tuple[StepCommit, NDArray[np.int64]]:
    """Return the part whose runs are as they were claimed, and the seqs of the others."""
    unchanged = pa.concat_arrays(
        [_unchanged(stage, layout, commit.step, table) for table in (commit.moved, commit.unmoved)]
    )
    claimed = pa.concat_tables([commit.moved.select(["#seq"]), commit.unmoved.select(["#seq"])])
    refused = claimed.filter(pc.invert(pc.is_in(claimed["#seq"], value_set=unchanged)))
    return commit.of_runs(unchanged), refused["#seq"].to_numpy()


def _unchanged(stage: Stage, layout: Layout, step: Step, table: pa.Table) -> pa.Array:
    if not table.num_rows:
        return pa.array([], pa.int64())
    query = (
        f"SELECT r.seq FROM {layout.runs} AS r, {STAGE} AS s "
        f"WHERE {moving.as_claimed(layout, step, table)}"
    )
    with stage.holding(table) as cursor:
        return cursor.sql(query).to_arrow_table()["seq"].combine_chunks()
