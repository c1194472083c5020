"""Removing finished runs, with their transitions and errors, so that their space is used again.

Many runs are removed in parts, so that no other commit waits long. Their selection is stored first.
Whatever ends the process, the store removes the rest when it is opened next.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import duckdb

from batchflow.operation import PruneReport
from batchflow.operation.options import moment_before
from batchflow.operation.parameters import params_of
from batchflow.operation.requests import Prune
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.database.store_error import store_error_of
from batchflow.store.query.described_workflows import described_workflows
from batchflow.store.query.local_source import LocalSource
from batchflow.store.query.queries import predicate, refused_predicate
from batchflow.store.runs.loaded_ids import CHOSEN
from batchflow.store.runs.pruned_part import (
    IS_PRUNABLE,
    PART_BITS,
    RemovedRows,
    choose_part,
    count_rows,
    forget_causes,
    refusing,
    remove_part,
)
from batchflow.store.schema.layout import literal
from batchflow.store.schema.tables import Tables

log = logging.getLogger("batchflow")

_PRUNING: Final = "batchflow.pruning"
# A lock that is taken again at once would never be given to a thread that waits for it.
_PAUSE_SECONDS: Final = 0.001


def prune(
    connection: Connection, chosen: Sequence[Tables], request: Prune, now: datetime
) -> PruneReport:
    """Remove the finished runs of these workflows.

    The selection of each workflow is one transaction. It is removed as a whole, if not now, then
    when the store is opened next. The file uses the space of removed runs again; space at its end
    is cut off. Where a query still reads what was there before, that happens at a later checkpoint.

    Raises:
        InvalidOptionError: The moment is before the year 1.
        QueryError: The predicate can't be executed.
        CommitError: DuckDB refused it. The message says which runs are still there.
        DiskFullError, StoreError: As for any write.
    """
    before = _moment_before(request, now)
    bytes_before = connection.bytes_on_disk()
    if request.dry_run:
        counted = [_counted(connection, tables, request, before) for tables in chosen]
    else:
        finish_prunes(connection)
        # Updated rows are in memory until the log is folded, and many rows need all of it.
        connection.fold_log()
        counted = [_removed(connection, tables, request, before) for tables in chosen]
        connection.fold_log()
    return PruneReport(
        runs=sum(counts.runs for counts in counted),
        transitions=sum(counts.transitions for counts in counted),
        errors=sum(counts.errors for counts in counted),
        rejected=sum(counts.rejected for counts in counted),
        bytes_before=bytes_before,
        bytes_after=connection.bytes_on_disk(),
    )


def finish_prunes(connection: Connection) -> None:
    """Remove what was chosen by prunes that didn't end."""
    with connection.reading() as cursor:
        query = f"SELECT DISTINCT workflow FROM {_PRUNING} ORDER BY ALL"
        names = [name for (name,) in cursor.execute(query).fetchall()]
    if not names:
        return
    workflows = described_workflows(LocalSource(connection))
    for name in names:
        removed = _remove_chosen(connection, workflows[name].tables)
        log.warning(
            "Workflow %s: a prune that was interrupted has been finished. It removed %d more runs.",
            name,
            removed.runs,
            extra={"action": "finish_prune", "workflow": name, "runs": removed.runs},
        )


def _moment_before(request: Prune, now: datetime) -> datetime:
    if isinstance(request.finished_before, datetime):
        return request.finished_before
    return moment_before(now, request.finished_before, "finished_before")


def _counted(
    connection: Connection, tables: Tables, request: Prune, before: datetime
) -> RemovedRows:
    with connection.write() as cursor, refusing("all are still there"):
        _choose(cursor, tables, request, before)
        counts = count_rows(cursor, tables)
        cursor.execute(f"DROP TABLE {CHOSEN}").fetchall()
        return counts.with_rejected(_rejected(cursor, "SELECT count(*)", tables, request, before))


def _removed(
    connection: Connection, tables: Tables, request: Prune, before: datetime
) -> RemovedRows:
    with connection.write() as cursor, refusing("all are still there"):
        _choose(cursor, tables, request, before)
        rejected = _rejected(cursor, "DELETE", tables, request, before)
        [(parts,)] = cursor.execute(
            f"SELECT count(DISTINCT seq >> {PART_BITS}) FROM {CHOSEN}"
        ).fetchall()
        removed = RemovedRows()
        if parts > 1:
            _record_choice(cursor, tables, before, forget=request.forget)
        else:
            removed = remove_part(cursor, tables, forget=request.forget)
            forget_causes(cursor)
        cursor.execute(f"DROP TABLE {CHOSEN}").fetchall()
    if parts > 1:
        removed = _remove_chosen(connection, tables)
    return removed.with_rejected(rejected)


def _rejected(cursor: Cursor, verb: str, tables: Tables, request: Prune, before: datetime) -> int:
    if request.where is not None:
        # A predicate is over the columns of runs, so it chooses no rejected row.
        return 0
    [(rows,)] = cursor.execute(
        f"{verb} FROM batchflow.rejected WHERE workflow = $workflow AND loaded_at < $before",
        {"workflow": tables.name, "before": before},
    ).fetchall()
    return int(rows)


def _choose(cursor: Cursor, tables: Tables, request: Prune, before: datetime) -> None:
    """Store the seqs of the runs first, as a predicate may read what is removed."""
    where, params = request.where, params_of(request.params)
    condition = "true" if where is None else predicate(tables, where, params)
    # No parameter, as those of the predicate may have no names.
    moment = f"TIMESTAMPTZ {literal(before.astimezone(UTC).isoformat())}"
    statement = (
        f"CREATE TEMP TABLE {CHOSEN} AS SELECT seq FROM {tables.runs} "
        f"WHERE {IS_PRUNABLE} AND updated_at < {moment} AND {condition}"
    )
    try:
        cursor.execute(statement, params).fetchall()
    except duckdb.Error as error:
        lacks_memory = isinstance(error, duckdb.OutOfMemoryException)
        if where is None or lacks_memory or store_error_of(error) is not None:
            raise
        raise refused_predicate(tables, where, message_of(error)) from cause(error)


def _record_choice(cursor: Cursor, tables: Tables, before: datetime, *, forget: bool) -> None:
    # A part without gaps needs no list.
    cursor.execute(
        f"INSERT INTO {_PRUNING} SELECT $workflow, min(seq), max(seq), "
        "CASE WHEN max(seq) - min(seq) >= count(*) THEN list(seq) END, $before, $forget "
        f"FROM {CHOSEN} GROUP BY seq >> {PART_BITS}",
        {"workflow": tables.name, "before": before, "forget": forget},
    ).fetchall()


def _remove_chosen(connection: Connection, tables: Tables) -> RemovedRows:
    removed = RemovedRows()
    while (part := _remove_next_part(connection, tables)) is not None:
        removed += part
        time.sleep(_PAUSE_SECONDS)
    return removed


def _remove_next_part(connection: Connection, tables: Tables) -> RemovedRows | None:
    left = "the other chosen runs are removed with the next prune, or when the store is opened next"
    with connection.write() as cursor, refusing(left):
        found = cursor.execute(
            f"SELECT first_seq, last_seq, finished_before, forget FROM {_PRUNING} "
            "WHERE workflow = ? ORDER BY first_seq LIMIT 1",
            [tables.name],
        ).fetchall()
        if not found:
            return None
        [(first, last, before, forget)] = found
        part = {"workflow": tables.name, "first": first, "last": last}
        is_part = "workflow = $workflow AND first_seq = $first AND last_seq = $last"
        choose_part(cursor, tables, f"FROM {_PRUNING} WHERE {is_part}", part, before)
        removed = remove_part(cursor, tables, forget=forget)
        cursor.execute(f"DROP TABLE {CHOSEN}").fetchall()
        cursor.execute(f"DELETE FROM {_PRUNING} WHERE {is_part}", part).fetchall()
        left_over = f"SELECT EXISTS(FROM {_PRUNING} WHERE workflow = ?)"
        if cursor.execute(left_over, [tables.name]).fetchall() == [(False,)]:
            forget_causes(cursor)
        return removed
