"""Removing finished runs, with their transitions and errors, so that their space is used again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import duckdb

from batchflow import crash_point
from batchflow.definition.run_state import RunState
from batchflow.errors import CommitError, QueryError
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.database.store_error import clause_of, refused_commit, store_error_of
from batchflow.store.query.local_source import LocalSource
from batchflow.store.query.queries import HAS_TABLE, predicate, refused_predicate
from batchflow.store.query.stored_tables import stored_tables, the_stored
from batchflow.store.schema.layout import literal
from batchflow.store.schema.tables import StoredTables

CHOSEN: Final = "batchflow_pruned"
# A statement removes the runs of 2**20 = 1,048,576 consecutive seqs: the hash table of ten million
# takes half of the memory that DuckDB may have by default.
SLAB_BITS: Final = 20
# Whose object is still to be erased has to wait for that, as nobody could tell that it was done.
PRUNABLE: Final = tuple(
    state for state in RunState if state.finished and state is not RunState.REQUESTED_DATA_DELETED
)

_DELETE: Final = "DELETE"
_COUNT: Final = "SELECT count(*)"


@dataclass(frozen=True)
class Pruned:
    """Say what was removed, or would be.

    Attributes:
        runs, transitions, errors: how many of each.
        bytes_before, bytes_after: what the store's file and its log took; 0 in memory.
    """

    runs: int
    transitions: int
    errors: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, kw_only=True)
class PruneOptions:
    """Say which runs are removed.

    Attributes:
        before: those that finished before this moment, aware.
        where: of these, those that a predicate over the columns of ``runs`` chooses.
        dry_run: whether they are counted alone.
    """

    before: datetime
    where: str | None = None
    dry_run: bool = False


class _Counts(NamedTuple):
    runs: int
    transitions: int
    errors: int


def prune(connection: Connection, names: Sequence[str] | None, options: PruneOptions) -> Pruned:
    """Remove the finished runs of these workflows, or of all, each workflow's in one transaction.

    Their space in the file is used again from then on; what of it is at the end is cut off. Where
    somebody still reads what was there before, that is so after a later checkpoint.

    Raises:
        QueryError: there is no such workflow, or the predicate can't be executed.
        CommitError: DuckDB refused it; all runs of the workflow concerned are still there.
        DiskFullError, StoreError: as for any write.
    """
    found = stored_tables(LocalSource(connection))
    chosen = [the_stored(found, name) for name in (found if names is None else names)]
    if options.where is not None and len(chosen) > 1:
        raise QueryError(
            "The predicate speaks of the columns of one workflow, and several are to be pruned "
            f"({', '.join(repr(each.name) for each in chosen)}): say which one is meant."
        )
    bytes_before = connection.bytes_on_disk()
    if not options.dry_run:
        # What was updated since the last time is in memory until then, and many rows need it all.
        connection.fold_log()
    counted = [_prune(connection, tables, options) for tables in chosen]
    if not options.dry_run:
        connection.fold_log()
    return Pruned(
        runs=sum(counts.runs for counts in counted),
        transitions=sum(counts.transitions for counts in counted),
        errors=sum(counts.errors for counts in counted),
        bytes_before=bytes_before,
        bytes_after=connection.bytes_on_disk(),
    )


def _prune(connection: Connection, tables: StoredTables, options: PruneOptions) -> _Counts:
    with connection.write() as cursor, _refusing():
        _choose(cursor, tables, options)
        counts = _each_table(cursor, tables, _COUNT if options.dry_run else _DELETE)
        cursor.execute(f"DROP TABLE {CHOSEN}")
    return counts


def _choose(cursor: Cursor, tables: StoredTables, options: PruneOptions) -> None:
    """Note the seqs of the runs beforehand: a predicate may look at what is removed first."""
    condition = "true" if options.where is None else predicate(cursor, tables, options.where)
    states = ", ".join(literal(state.name) for state in PRUNABLE)
    statement = (
        f"CREATE TEMP TABLE {CHOSEN} AS SELECT seq FROM {tables.runs} "
        f"WHERE run_state IN ({states}) AND updated_at < $before AND {condition}"
    )
    try:
        cursor.execute(statement, {"before": options.before}).fetchall()
    except duckdb.Error as error:
        lacks_memory = isinstance(error, duckdb.OutOfMemoryException)
        if options.where is None or lacks_memory or store_error_of(error) is not None:
            raise
        raise refused_predicate(tables, options.where, message_of(error)) from cause(error)


def _each_table(cursor: Cursor, tables: StoredTables, verb: str) -> _Counts:
    slabs = cursor.execute(
        f"SELECT min(seq), max(seq) FROM {CHOSEN} GROUP BY seq >> {SLAB_BITS} ORDER BY ALL"
    ).fetchall()
    recorded = cursor.execute(HAS_TABLE, [tables.name, "transitions"]).fetchall()
    transitions = _each_slab(cursor, verb, tables.transitions, slabs) if recorded else 0
    errors = _each_slab(cursor, verb, tables.errors, slabs)
    crash_point.reached("within_prune")
    return _Counts(_each_slab(cursor, verb, tables.runs, slabs), transitions, errors)


def _each_slab(cursor: Cursor, verb: str, table: str, slabs: list[tuple[int, int]]) -> int:
    """Remove or count the rows of the chosen runs; return how many they are."""
    rows = 0
    for first, last in slabs:
        # Said of both, so that DuckDB passes over whole row groups of each.
        within = f"seq BETWEEN {first} AND {last}"
        [(of_slab,)] = cursor.execute(
            f"{verb} FROM {table} WHERE {within} "
            f"AND seq IN (SELECT seq FROM {CHOSEN} WHERE {within})"
        ).fetchall()
        rows += of_slab
    return rows


@contextmanager
def _refusing() -> Iterator[None]:
    """Say what a refusal means here; what concerns the whole store is the connection's to say."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        if store_error_of(error) is not None:
            raise
        # DuckDB marks the rows of a vector before it notes how to undo that; where it lacks memory
        # in between, the marks stay, and another DELETE conflicts with them.
        raise CommitError(
            f"DuckDB lacks the memory to remove so many runs at once ({clause_of(error)}), and all "
            "are still there. Open the store again, as DuckDB lets go of them only then, and "
            "remove fewer, with an earlier moment first, or give it more with "
            "EngineConfig(memory_limit=…)."
        ) from error
    except duckdb.Error as error:
        if store_error_of(error) is not None:
            raise
        raise refused_commit(error) from cause(error)
