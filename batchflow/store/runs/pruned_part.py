"""The removal of chosen runs, in the caller's transaction; their seqs are in a temporary table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import duckdb

from batchflow import crash_point
from batchflow.definition.run_state import RunState
from batchflow.errors import CommitError
from batchflow.store.database.duckdb_message import cause
from batchflow.store.database.instance import Cursor
from batchflow.store.database.store_error import clause_of, refused_commit, store_error_of
from batchflow.store.query.queries import HAS_TRANSITIONS
from batchflow.store.runs.loaded_ids import CHOSEN, keep_ids
from batchflow.store.schema.layout import literal, quote
from batchflow.store.schema.tables import Tables

# A part has the runs of 2**18 = 262,144 consecutive seqs, which takes about a quarter of a second,
# and a small part of the memory that DuckDB may have.
PART_BITS: Final = 18
# A run whose object is still to be erased has to stay, or nothing would show that it was erased.
PRUNABLE: Final = tuple(
    state for state in RunState if state.finished and state is not RunState.REQUESTED_DATA_DELETED
)
IS_PRUNABLE: Final = f"run_state IN ({', '.join(literal(state.name) for state in PRUNABLE)})"

_SLOW_RUNS: Final = (
    "DELETE FROM batchflow.slow_runs WHERE workflow = $workflow AND seq BETWEEN $first AND $last "
    f"AND seq IN (SELECT seq FROM {CHOSEN})"
)
_TOUCHED_CHUNKS: Final = (
    "batchflow.chunks WHERE workflow = $workflow AND last_seq >= $first AND first_seq <= $last"
)
# Those whose first run that is left, if any, comes after their last.
_EMPTY_CHUNKS: Final = f"""
    DELETE FROM batchflow.chunks WHERE rowid IN (
        SELECT c.row
        FROM (SELECT rowid AS row, first_seq, last_seq FROM {_TOUCHED_CHUNKS}) AS c
        ASOF LEFT JOIN {{left}} AS r ON c.first_seq <= r.seq
        WHERE r.seq IS NULL OR r.seq > c.last_seq)"""


@dataclass(frozen=True)
class RemovedRows:
    """The rows that were removed, or that would be."""

    runs: int = 0
    transitions: int = 0
    errors: int = 0
    rejected: int = 0

    def __add__(self, other: RemovedRows) -> RemovedRows:
        return RemovedRows(
            self.runs + other.runs,
            self.transitions + other.transitions,
            self.errors + other.errors,
            self.rejected + other.rejected,
        )

    def with_rejected(self, rows: int) -> RemovedRows:
        """Return the same with so many rejected rows of loads."""
        return replace(self, rejected=rows)


def choose_part(
    cursor: Cursor,
    tables: Tables,
    part: str,
    parameters: Mapping[str, object],
    before: datetime,
) -> None:
    """Choose the runs of a part that haven't changed since they were chosen.

    Args:
        cursor: The transaction's cursor.
        tables: Where the workflow's tables are.
        part: The part's row with ``seqs``, as it stands behind a selection.
        parameters: Its parameters, among them ``first`` and ``last``.
        before: The runs were finished before this moment.
    """
    cursor.execute(
        f"CREATE TEMP TABLE {CHOSEN} AS SELECT seq FROM {tables.runs} "
        f"WHERE seq BETWEEN $first AND $last AND {IS_PRUNABLE} AND updated_at < $before "
        f"AND ((SELECT seqs IS NULL {part}) OR seq IN (SELECT unnest(seqs) {part}))",
        {**parameters, "before": before},
    ).fetchall()


def count_rows(cursor: Cursor, tables: Tables) -> RemovedRows:
    """Count the chosen runs, their transitions and their errors."""
    of_chosen = f"seq IN (SELECT seq FROM {CHOSEN})"
    return _each_table(cursor, tables, "SELECT count(*)", of_chosen)


def remove_part(cursor: Cursor, tables: Tables, *, forget: bool) -> RemovedRows:
    """Remove the chosen runs, their transitions and their errors.

    Unless `forget` is true, the hashes of their foreign ids are kept.
    """
    [(first, last, chosen)] = cursor.execute(
        f"SELECT min(seq), max(seq), count(*) FROM {CHOSEN}"
    ).fetchall()
    if not chosen:
        return RemovedRows()
    within = f"seq BETWEEN {first} AND {last}"
    if not forget:
        keep_ids(cursor, tables, within)
    query = f"SELECT count(*) FROM {tables.runs} WHERE {within}"
    [(there,)] = cursor.execute(query).fetchall()
    # On both sides, so that DuckDB skips whole row groups of each.
    condition = (
        within
        if there == chosen
        else f"{within} AND seq IN (SELECT seq FROM {CHOSEN} WHERE {within})"
    )
    removed = _each_table(cursor, tables, "DELETE", condition)
    _forget_places(cursor, tables, first, last)
    return removed


def forget_causes(cursor: Cursor) -> None:
    """Remove the causes that no error has any more."""
    names = cursor.execute("SELECT name FROM batchflow.workflows").fetchall()
    kept = " UNION ALL ".join(f"SELECT cause FROM {quote(name)}.errors" for (name,) in names)
    cursor.execute(
        "DELETE FROM batchflow.causes WHERE cause NOT IN "
        f"(SELECT cause FROM ({kept}) WHERE cause IS NOT NULL)"
    ).fetchall()


def _each_table(cursor: Cursor, tables: Tables, verb: str, condition: str) -> RemovedRows:
    recorded = cursor.execute(HAS_TRANSITIONS, [tables.name]).fetchall()
    logs = (tables.transitions_without_reason, tables.transitions_with_reason) if recorded else ()
    transitions = sum(_rows(cursor, verb, table, condition) for table in logs)
    errors = _rows(cursor, verb, tables.errors, condition)
    crash_point.reached("within_prune")
    return RemovedRows(_rows(cursor, verb, tables.runs, condition), transitions, errors)


def _forget_places(cursor: Cursor, tables: Tables, first: int, last: int) -> None:
    """Remove what is stored about the removed runs elsewhere; the seconds of commits stay."""
    part = {"workflow": tables.name, "first": first, "last": last}
    cursor.execute(_SLOW_RUNS, part).fetchall()
    [bounds] = cursor.execute(
        f"SELECT min(first_seq), max(last_seq) FROM {_TOUCHED_CHUNKS}", part
    ).fetchall()
    if bounds != (None, None):
        left = f"(SELECT seq FROM {tables.runs} WHERE seq BETWEEN {bounds[0]} AND {bounds[1]})"
        cursor.execute(_EMPTY_CHUNKS.format(left=left), part).fetchall()


def _rows(cursor: Cursor, verb: str, table: str, condition: str) -> int:
    """Remove or count rows; return how many they are."""
    [(rows,)] = cursor.execute(f"{verb} FROM {table} WHERE {condition}").fetchall()
    return int(rows)


@contextmanager
def refusing(what_is_left: str) -> Iterator[None]:
    """Raise the error for a refused prune; the connection raises those about the whole store.

    `what_is_left` is about the runs that it didn't remove.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        if store_error_of(error) is not None:
            raise
        # DuckDB marks the rows of a vector before it notes how to undo that; where it lacks memory
        # in between, the marks stay, and another DELETE conflicts with them.
        raise CommitError(
            f"DuckDB lacks the memory to remove so many runs at once ({clause_of(error)}), and "
            f"{what_is_left}. Open the store again, as DuckDB releases them only then, with a "
            "larger memory_limit."
        ) from error
    except duckdb.Error as error:
        if store_error_of(error) is not None:
            raise
        raise refused_commit(error) from cause(error)
