"""Removing finished runs, with their transitions and errors, so that their space is used again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, NamedTuple

import duckdb

from batchflow import crash_point
from batchflow.definition.run_state import RunState
from batchflow.errors import CommitError, InvalidOptionError
from batchflow.operation import PruneReport
from batchflow.operation.parameters import params_of
from batchflow.operation.requests import Prune
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.database.store_error import clause_of, refused_commit, store_error_of
from batchflow.store.query.queries import HAS_TRANSITIONS, predicate, refused_predicate
from batchflow.store.runs.loaded_ids import CHOSEN, keep_ids
from batchflow.store.schema.layout import literal, quote
from batchflow.store.schema.tables import Tables

# A statement removes the runs of 2**20 = 1,048,576 consecutive seqs: the hash table of ten million
# takes half of the memory that DuckDB may have by default.
SLAB_BITS: Final = 20
# A run whose object is still to be erased has to stay, or nothing would show that it was erased.
PRUNABLE: Final = tuple(
    state for state in RunState if state.finished and state is not RunState.REQUESTED_DATA_DELETED
)

_SLOW_RUNS: Final = (
    "DELETE FROM batchflow.slow_runs WHERE workflow = $workflow "
    f"AND seq IN (SELECT seq FROM {CHOSEN})"
)
# Those whose first run that is left, if any, comes after their last.
_CHUNKS: Final = f"""
    DELETE FROM batchflow.chunks WHERE rowid IN (
        SELECT c.row FROM (
            SELECT rowid AS row, first_seq, last_seq FROM batchflow.chunks
            WHERE workflow = $workflow AND last_seq >= (SELECT min(seq) FROM {CHOSEN})
              AND first_seq <= (SELECT max(seq) FROM {CHOSEN})
        ) AS c ASOF LEFT JOIN {{runs}} AS r ON c.first_seq <= r.seq
        WHERE r.seq IS NULL OR r.seq > c.last_seq)"""

_DELETE: Final = "DELETE"
_COUNT: Final = "SELECT count(*)"


class _Counts(NamedTuple):
    runs: int
    transitions: int
    errors: int
    rejected: int


def prune(
    connection: Connection, chosen: Sequence[Tables], request: Prune, now: datetime
) -> PruneReport:
    """Remove the finished runs of these workflows, each workflow's in one transaction.

    The file uses their space again from then on; space at its end is cut off. Where a query still
    reads what was there before, that happens at a later checkpoint.

    Raises:
        InvalidOptionError: The moment is before the year 1.
        QueryError: The predicate can't be executed.
        CommitError: DuckDB refused it; all runs of the workflow concerned are still there.
        DiskFullError, StoreError: As for any write.
    """
    before = _moment_before(request, now)
    bytes_before = connection.bytes_on_disk()
    if not request.dry_run:
        # Updated rows are in memory until the log is folded, and many rows need all of it.
        connection.fold_log()
    counted = [_prune(connection, tables, request, before) for tables in chosen]
    if not request.dry_run:
        connection.fold_log()
    return PruneReport(
        runs=sum(counts.runs for counts in counted),
        transitions=sum(counts.transitions for counts in counted),
        errors=sum(counts.errors for counts in counted),
        rejected=sum(counts.rejected for counts in counted),
        bytes_before=bytes_before,
        bytes_after=connection.bytes_on_disk(),
    )


def _moment_before(request: Prune, now: datetime) -> datetime:
    if isinstance(request.finished_before, datetime):
        return request.finished_before
    try:
        return now - request.finished_before
    except OverflowError:
        raise InvalidOptionError(
            f"finished_before is {request.finished_before!r}, which leads to a moment before the "
            "year 1; give less.",
            option="finished_before",
        ) from None


def _prune(connection: Connection, tables: Tables, request: Prune, before: datetime) -> _Counts:
    with connection.write() as cursor, _refusing():
        _choose(cursor, tables, request, before)
        verb = _COUNT if request.dry_run else _DELETE
        # A predicate is over the columns of runs, so it chooses no rejected row.
        rejected = _rejected(cursor, verb, tables, before) if request.where is None else 0
        if not request.dry_run and not request.forget:
            keep_ids(cursor, tables, _slabs(cursor))
        counts = _each_table(cursor, tables, verb, rejected)
        if not request.dry_run:
            _forget_places(cursor, tables)
        cursor.execute(f"DROP TABLE {CHOSEN}")
    return counts


def _rejected(cursor: Cursor, verb: str, tables: Tables, before: datetime) -> int:
    [(rows,)] = cursor.execute(
        f"{verb} FROM batchflow.rejected WHERE workflow = $workflow AND loaded_at < $before",
        {"workflow": tables.name, "before": before},
    ).fetchall()
    return int(rows)


def _choose(cursor: Cursor, tables: Tables, request: Prune, before: datetime) -> None:
    """Store the seqs of the runs first, as a predicate may read what is removed."""
    where, params = request.where, params_of(request.params)
    condition = "true" if where is None else predicate(tables, where, params)
    states = ", ".join(literal(state.name) for state in PRUNABLE)
    # No parameter, as those of the predicate may have no names.
    moment = f"TIMESTAMPTZ {literal(before.astimezone(UTC).isoformat())}"
    statement = (
        f"CREATE TEMP TABLE {CHOSEN} AS SELECT seq FROM {tables.runs} "
        f"WHERE run_state IN ({states}) AND updated_at < {moment} AND {condition}"
    )
    try:
        cursor.execute(statement, params).fetchall()
    except duckdb.Error as error:
        lacks_memory = isinstance(error, duckdb.OutOfMemoryException)
        if where is None or lacks_memory or store_error_of(error) is not None:
            raise
        raise refused_predicate(tables, where, message_of(error)) from cause(error)


def _each_table(cursor: Cursor, tables: Tables, verb: str, rejected: int) -> _Counts:
    slabs = _slabs(cursor)
    recorded = cursor.execute(HAS_TRANSITIONS, [tables.name]).fetchall()
    logs = (tables.transitions_without_reason, tables.transitions_with_reason) if recorded else ()
    transitions = sum(_each_slab(cursor, verb, table, slabs) for table in logs)
    errors = _each_slab(cursor, verb, tables.errors, slabs)
    crash_point.reached("within_prune")
    runs = _each_slab(cursor, verb, tables.runs, slabs)
    return _Counts(runs, transitions, errors, rejected)


def _forget_places(cursor: Cursor, tables: Tables) -> None:
    """Remove what is stored about the pruned runs elsewhere; the seconds of commits stay."""
    workflow = {"workflow": tables.name}
    for statement in (_SLOW_RUNS, _CHUNKS.format(runs=tables.runs)):
        cursor.execute(statement, workflow).fetchall()
    names = cursor.execute("SELECT name FROM batchflow.workflows").fetchall()
    kept = " UNION ALL ".join(f"SELECT cause FROM {quote(name)}.errors" for (name,) in names)
    cursor.execute(
        "DELETE FROM batchflow.causes WHERE cause NOT IN "
        f"(SELECT cause FROM ({kept}) WHERE cause IS NOT NULL)"
    ).fetchall()


def _slabs(cursor: Cursor) -> list[tuple[int, int]]:
    return cursor.execute(
        f"SELECT min(seq), max(seq) FROM {CHOSEN} GROUP BY seq >> {SLAB_BITS} ORDER BY ALL"
    ).fetchall()


def _each_slab(cursor: Cursor, verb: str, table: str, slabs: list[tuple[int, int]]) -> int:
    """Remove or count the rows of the chosen runs; return how many they are."""
    rows = 0
    for first, last in slabs:
        # On both sides, so that DuckDB skips whole row groups of each.
        within = f"seq BETWEEN {first} AND {last}"
        [(of_slab,)] = cursor.execute(
            f"{verb} FROM {table} WHERE {within} "
            f"AND seq IN (SELECT seq FROM {CHOSEN} WHERE {within})"
        ).fetchall()
        rows += of_slab
    return rows


@contextmanager
def _refusing() -> Iterator[None]:
    """Raise the error for a refused prune; the connection raises those about the whole store."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        if store_error_of(error) is not None:
            raise
        # DuckDB marks the rows of a vector before it notes how to undo that; where it lacks memory
        # in between, the marks stay, and another DELETE conflicts with them.
        raise CommitError(
            f"DuckDB lacks the memory to remove so many runs at once ({clause_of(error)}), and all "
            "are still there. Open the store again, as DuckDB releases them only then, and remove "
            "fewer, with an earlier moment first."
        ) from error
    except duckdb.Error as error:
        if store_error_of(error) is not None:
            raise
        raise refused_commit(error) from cause(error)
