"""Upgrade a store's file from an older format to the current one, in place.

To change the format, raise `FORMAT_VERSION` in ``database/file_format.py``, and add to `CHANGES`
what makes a file of the format before into one of the new format. A change never refers to what a
later format might rename: it may meet a file of any age.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from batchflow.store.database.file_format import FORMAT_VERSION, set_stored_format, stored_format
from batchflow.store.database.instance import Cursor
from batchflow.store.schema.layout import (
    OUTCOME_TYPE,
    TRANSITION_OUTCOMES,
    literal,
    quote,
    view_of_transitions,
)

log = logging.getLogger("batchflow")


def upgrade(cursor: Cursor) -> None:
    """Bring the file to the current format, within the caller's transaction."""
    found = stored_format(cursor)
    if found == FORMAT_VERSION:
        return
    log.info(
        "The store is upgraded from format %d to format %d.",
        found,
        FORMAT_VERSION,
        extra={"action": "upgrade_format", "from_format": found, "to_format": FORMAT_VERSION},
    )
    for version in range(found + 1, FORMAT_VERSION + 1):
        for change in CHANGES[version]:
            change(cursor)
    set_stored_format(cursor)


def widen_outcomes(cursor: Cursor) -> None:
    """Let the transitions of every workflow record all outcomes that this batchflow knows."""
    for workflow, _ in _workflows_with_transitions(cursor):
        _widen(cursor, f"{quote(workflow)}.transitions")


def _widen(cursor: Cursor, table: str) -> None:
    if _outcomes(cursor, table) != TRANSITION_OUTCOMES:
        cursor.execute(f"ALTER TABLE {table} ALTER COLUMN outcome TYPE {OUTCOME_TYPE}")


def add_definitions(cursor: Cursor) -> None:
    """Add the column for each workflow's description; NULL until an engine opens the workflow."""
    cursor.execute("ALTER TABLE batchflow.workflows ADD COLUMN definition VARCHAR")


def add_operations(cursor: Cursor) -> None:
    """Add the log of operations."""
    cursor.execute(
        "CREATE TABLE batchflow.operations(performed_at TIMESTAMPTZ, workflow VARCHAR, "
        "operation VARCHAR, outcome VARCHAR, reason VARCHAR, changed BIGINT, refused BIGINT, "
        "options VARCHAR)"
    )


def add_loads(cursor: Cursor) -> None:
    """Add the ledger of loaded files, the rejected rows, and the foreign ids of pruned runs."""
    cursor.execute(
        "CREATE TABLE batchflow.loads(load_id BIGINT, loaded_at TIMESTAMPTZ, workflow VARCHAR, "
        "status VARCHAR, given VARCHAR, path VARCHAR, bytes BIGINT, modified_at TIMESTAMPTZ, "
        "sha256 VARCHAR, rows BIGINT, inserted BIGINT, updated BIGINT, skipped BIGINT, "
        "rejected BIGINT)"
    )
    cursor.execute(
        "CREATE TABLE batchflow.rejected(load_id BIGINT, loaded_at TIMESTAMPTZ, workflow VARCHAR, "
        "source VARCHAR, source_row BIGINT, foreign_id VARCHAR, reason VARCHAR, "
        "detail VARCHAR, record VARCHAR)"
    )
    cursor.execute("CREATE TABLE batchflow.pruned_ids(workflow VARCHAR, foreign_id_hash UHUGEINT)")


def add_log_path(cursor: Cursor) -> None:
    """Add the path of the log that belongs to the file; see ``database/log_mark.py``."""
    cursor.execute("ALTER TABLE batchflow.store ADD COLUMN log_path VARCHAR")


def split_transitions(cursor: Cursor) -> None:
    """Give each workflow a table of transitions with a reason, and a view of all transitions.

    The reasons that are known move there: those of the log of operations, and those that runs have.
    """
    for workflow, base in _workflows_with_transitions(cursor):
        schema = quote(workflow)
        cursor.execute(f"ALTER TABLE {schema}.transitions RENAME TO transitions_without_reason")
        _create_with_reason(cursor, workflow, base)
        _move_reasons(cursor, workflow)
        cursor.execute(view_of_transitions(schema))


def widen_split_outcomes(cursor: Cursor) -> None:
    """Do the same where a view has the transitions of two tables."""
    for workflow, _ in _workflows_with_transitions(cursor, "transitions_with_reason"):
        schema = quote(workflow)
        for table in ("transitions_without_reason", "transitions_with_reason"):
            _widen(cursor, f"{schema}.{table}")
        # The view keeps the types of its columns from when it was created.
        cursor.execute(view_of_transitions(schema))


def _create_with_reason(cursor: Cursor, workflow: str, run_id_base: int) -> None:
    columns = cursor.execute(
        "SELECT column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = current_database() AND schema_name = ? "
        "AND table_name = 'transitions_without_reason' AND column_name NOT IN ('seq', 'run_id') "
        "ORDER BY column_index",
        [workflow],
    ).fetchall()
    run_id = f"CAST({run_id_base}::UHUGEINT + seq::UHUGEINT AS UUID)"
    others = "".join(f", {quote(name)} {kind}" for name, kind in columns)
    cursor.execute(
        f"CREATE TABLE {quote(workflow)}.transitions_with_reason (seq BIGINT, "
        f"run_id UUID GENERATED ALWAYS AS ({run_id}) VIRTUAL{others}, reason VARCHAR)"
    )


def _move_reasons(cursor: Cursor, workflow: str) -> None:
    schema = quote(workflow)
    columns = "seq, from_status, to_status, outcome, run_state, attempt, version, committed_at"
    moved = ", ".join(f"t.{column}" for column in columns.split(", "))
    cursor.execute(
        f"INSERT INTO {schema}.transitions_with_reason ({columns}, reason) "
        f"SELECT {moved}, coalesce(r.reason, o.reason) "
        f"FROM {schema}.transitions_without_reason AS t "
        f"LEFT JOIN (SELECT seq, version, reason FROM {schema}.runs WHERE reason IS NOT NULL) AS r "
        "USING (seq, version) "
        "LEFT JOIN (SELECT performed_at, outcome, any_value(reason) AS reason "
        f"FROM batchflow.operations WHERE workflow = {literal(workflow)} GROUP BY ALL) AS o "
        "ON o.performed_at = t.committed_at AND o.outcome = t.outcome::VARCHAR "
        "WHERE coalesce(r.reason, o.reason) IS NOT NULL"
    )
    cursor.execute(
        f"DELETE FROM {schema}.transitions_without_reason WHERE (seq, version) IN "
        f"(SELECT (seq, version) FROM {schema}.transitions_with_reason)"
    )


def add_place_of_errors(cursor: Cursor) -> None:
    """Add the cause, the worker, the chunk and the seconds of each error."""
    columns = ("cause VARCHAR", "worker VARCHAR", "chunk BIGINT", "seconds DOUBLE")
    for (workflow,) in cursor.execute("SELECT name FROM batchflow.workflows").fetchall():
        for column in columns:
            cursor.execute(f"ALTER TABLE {quote(workflow)}.errors ADD COLUMN {column}")


def add_costs(cursor: Cursor) -> None:
    """Add the tables of commits, of the chunks in them, and of the slowest runs."""
    cursor.execute(
        "CREATE TABLE batchflow.commits(committed_at TIMESTAMPTZ, workflow VARCHAR, "
        "status VARCHAR, step VARCHAR, runs BIGINT, failed BIGINT, chunks BIGINT, "
        "step_seconds DOUBLE, queue_seconds DOUBLE, commit_seconds DOUBLE)"
    )
    cursor.execute(
        "CREATE TABLE batchflow.chunks(committed_at TIMESTAMPTZ, workflow VARCHAR, "
        "status VARCHAR, step VARCHAR, chunk BIGINT, worker VARCHAR, first_seq BIGINT, "
        "last_seq BIGINT, runs BIGINT, seconds DOUBLE)"
    )
    cursor.execute(
        "CREATE TABLE batchflow.slow_runs(committed_at TIMESTAMPTZ, workflow VARCHAR, "
        "status VARCHAR, step VARCHAR, seq BIGINT, seconds DOUBLE, worker VARCHAR)"
    )


def add_causes(cursor: Cursor) -> None:
    """Add the table of the causes of errors."""
    cursor.execute(
        "CREATE TABLE batchflow.causes(cause VARCHAR, description VARCHAR, type VARCHAR, "
        "message VARCHAR, function VARCHAR, file VARCHAR, line INTEGER, source VARCHAR, "
        "chain VARCHAR[], first_seen TIMESTAMPTZ)"
    )


def add_seqs_of_loads(cursor: Cursor) -> None:
    """Add the first and the last run that a file started; NULL for files loaded before."""
    for column in ("first_seq", "last_seq"):
        cursor.execute(f"ALTER TABLE batchflow.loads ADD COLUMN {column} BIGINT")


def add_etags_of_loads(cursor: Cursor) -> None:
    """Add what the server of a loaded URL calls its content; NULL for files loaded before."""
    cursor.execute("ALTER TABLE batchflow.loads ADD COLUMN etag VARCHAR")


def add_exports(cursor: Cursor) -> None:
    """Add the parts of hand-overs, and the runs that each has."""
    cursor.execute(
        "CREATE TABLE batchflow.exports(export_id BIGINT, name VARCHAR, workflow VARCHAR, "
        "destination VARCHAR, first_position BIGINT, last_position BIGINT, begun_at TIMESTAMPTZ, "
        "ended_at TIMESTAMPTZ)"
    )
    cursor.execute(
        "CREATE TABLE batchflow.exported_runs(export_id BIGINT, seq BIGINT, version INTEGER)"
    )


def add_pruning(cursor: Cursor) -> None:
    """Add the table of the runs that a prune has chosen and not yet removed."""
    cursor.execute(
        "CREATE TABLE batchflow.pruning(workflow VARCHAR, first_seq BIGINT, last_seq BIGINT, "
        "seqs BIGINT[], finished_before TIMESTAMPTZ, forget BOOLEAN)"
    )


def add_shard(cursor: Cursor) -> None:
    """Add the table that has a row in the stores that are shards."""
    cursor.execute(
        "CREATE TABLE batchflow.shard(shard INTEGER, shards INTEGER, shard_set UUID, "
        "pattern VARCHAR, slot INTEGER)"
    )


CHANGES: Final[dict[int, tuple[Callable[[Cursor], None], ...]]] = {
    2: (widen_outcomes, add_definitions, add_operations),
    3: (add_loads, split_transitions, add_log_path),
    4: (
        widen_split_outcomes,
        add_place_of_errors,
        add_costs,
        add_causes,
        add_seqs_of_loads,
        add_etags_of_loads,
        add_pruning,
        add_exports,
        add_shard,
    ),
}
"""The changes of each format, which upgrade a file of the format before, in their order."""


def _workflows_with_transitions(
    cursor: Cursor, table: str = "transitions"
) -> Sequence[tuple[str, int]]:
    """Return the workflows that have a table of transitions, with the base of their run ids."""
    query = (
        "SELECT w.name, w.run_id_base FROM batchflow.workflows AS w JOIN duckdb_tables() AS t "
        "ON t.database_name = current_database() AND t.schema_name = w.name "
        "AND t.table_name = ?"
    )
    return cursor.execute(query, [table]).fetchall()


def _outcomes(cursor: Cursor, table: str) -> tuple[str, ...]:
    query = f"SELECT enum_range((SELECT any_value(outcome) FROM {table} WHERE false))::VARCHAR[]"
    [(names,)] = cursor.execute(query).fetchall()
    return tuple(names)
