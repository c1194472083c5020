"""Load the rows of one source, in the transaction of its load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from batchflow import crash_point
from batchflow.errors import SourceError, StoreError
from batchflow.operation.load_report import LoadReport
from batchflow.operation.requests import TriggerMany
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.database.store_error import store_error_of
from batchflow.store.loading import load_checks
from batchflow.store.loading.column_match import ColumnMatch, match_columns, refuse_alike
from batchflow.store.loading.conflicts import (
    drop_stages,
    find_conflicts,
    kept_rows,
    source_conflicts,
)
from batchflow.store.loading.field_defaults import (
    RUN_DEFAULTS,
    defaults,
    is_made_per_run,
    run_default,
    stage_run_defaults,
)
from batchflow.store.loading.fitted_table import MISFIT, Wanted
from batchflow.store.loading.load_checks import STAGE, Load
from batchflow.store.loading.load_keys import ForeignIdCheck
from batchflow.store.loading.load_plan import (
    STAGED_ID,
    engine_values,
    plan_columns,
)
from batchflow.store.loading.rejected import keep_rejected
from batchflow.store.loading.source_instance import POSITION, OutsideRows, Reader
from batchflow.store.loading.sources import LoadSource, open_source, reads_tables
from batchflow.store.loading.updates import UPDATES, update_runs
from batchflow.store.runs.claimed_runs import ClaimedRuns
from batchflow.store.schema.layout import Layout, next_seq, quote, set_next_seq


@dataclass(frozen=True)
class LoadCall:
    """One call of `load`, whatever its source is.

    Attributes:
        connection: The connection to the store.
        layout: Where the runs are stored.
        request: The source and the options.
        code: The status where the runs begin.
        now: The time of the runs' creation.
        claimed: The runs that a drain has claimed.
        reader: Opens a cursor of the instance that reads files, if the source is files.
    """

    connection: Connection
    layout: Layout
    request: TriggerMany
    code: int
    now: datetime
    claimed: ClaimedRuns
    reader: Reader | None = None

    @property
    def wanted(self) -> Wanted:
        """Return the fields that the load fills, and its options for reading."""
        options, log_values = self.request, self.connection.log_values
        return Wanted(self.layout.fields, options.foreign_id, options.strict, log_values)


class NotDirectError(Exception):
    """A row conflicts, so that the rows have to be staged."""


@contextmanager
def opened(call: LoadCall, given: Any) -> Iterator[Load]:
    """Open a source, and plan how its columns are loaded."""
    cursor, begun = call.connection.cursor(), call.connection.interrupt_with_work
    with (
        open_source(cursor, call.layout.workflow, given, call.wanted, call.reader, begun) as source,
        planned(call, source) as load,
    ):
        if call.layout.shard is not None and source.outside is None and reads_tables(given):
            raise SourceError(
                f"{source.label} reads the tables of shard {call.layout.shard.number}, which has "
                "only a part of the runs. Query all shards with Stores.sql, and load the result."
            )
        yield load


@contextmanager
def planned(call: LoadCall, source: LoadSource) -> Iterator[Load]:
    """Plan how a source's columns are loaded. The defaults last until the end of the block."""
    layout = call.layout
    columns = plan_columns(source, _match(source, call.wanted), layout)
    loaded = {column.into for column in columns}
    missing = [field for field in layout.fields if quote(field.column) not in loaded]
    absent = {column.into for column in columns if column.absent}
    partial = [field for field in layout.fields if quote(field.column) in absent]
    constant = [field for field in (*missing, *partial) if not is_made_per_run(field)]
    with defaults(call.connection.cursor(), constant) as values:
        yield Load(
            *(layout, source, columns, values, call.request, call.code, call.now),
            claimed=call.claimed,
            log_values=call.wanted.log_values,
            missing=missing,
            partial=partial,
        )


def _match(source: LoadSource, wanted: Wanted) -> ColumnMatch:
    if source.fitted is not None:
        return source.fitted.match
    refuse_alike(source.label, source.written, wanted.fields, wanted.foreign_id)
    names = list(source.columns)
    return match_columns(source.label, names, wanted.fields, wanted.foreign_id, wanted.strict)


def nothing_loaded(cursor: Cursor, call: LoadCall) -> LoadReport:
    """Return the report of a load before its first row."""
    first = next_seq(cursor, call.layout.name)
    status = call.layout.workflow.status_names[call.code]
    return LoadReport(call.layout.name, status, call.code, 0, first, first - 1)


def load_directly(cursor: Cursor, load: Load, outside: OutsideRows) -> LoadReport:
    """Store the rows directly from the source, or raise if one is invalid or conflicts."""
    if load.layout.shard is not None:
        key = load.columns[0].value
        own = f"{load.layout.shard.has(key)} OR {quote(MISFIT)} IS NOT NULL"
        outside = outside.where(own)
        load = replace(load, source=replace(load.source, outside=outside))
    if source_conflicts(cursor, load):
        raise NotDirectError
    report = _insert_from_source(cursor, load, outside)
    # Columns that such a file lacks are lacking in all of its rows, but a shard may have none.
    return report if report.loaded or load.layout.shard is None else replace(report, filled=())


def _insert_from_source(cursor: Cursor, load: Load, outside: OutsideRows) -> LoadReport:
    values = {column.into: column.value for column in load.columns}
    watch = ForeignIdCheck(outside, load.columns[0])
    with load.source.tables(cursor, [*load.source_columns, MISFIT], watch) as tables:
        report = _insert_rows(cursor, load, values, quote(POSITION), tables)
    watch.check_rows(report.loaded, load.source.label)
    return report


def load_staged(cursor: Cursor, load: Load) -> LoadReport:
    """Copy the rows to a temporary table, find those that can't be loaded, and store the others.

    Raises:
        InvalidRowsError, ConflictError: There are some, and the options don't leave them out.
    """
    profile = load_checks.stage(cursor, load)
    wrong = profile.rows - profile.valid
    invalid = load_checks.check_valid(cursor, load, profile) if wrong else ()
    conflicts = find_conflicts(cursor, load, profile)
    if conflicts.updated:
        update_runs(cursor, load, conflicts.updated, conflicts.rejected)
    if wrong or conflicts.rejected:
        keep_rejected(cursor, load, profile)
    table = kept_rows(cursor, conflicts) if wrong or conflicts else STAGE
    if table != STAGE or load.layout.shard is not None:
        updates = f"{STAGE} s SEMI JOIN {UPDATES} u ON s.rowid = u.row"
        unfilled = load_checks.unfilled(cursor, load, table, updates if conflicts.updated else None)
        load = replace(load, unfilled=unfilled)
    report = _insert_staged(cursor, load, table)
    drop_stages(cursor)
    return replace(
        report,
        skipped_conflicts=conflicts.rejected,
        conflict_reasons=conflicts.reasons,
        conflict_sample=conflicts.sample,
        skipped_invalid=wrong,
        invalid=invalid,
        skipped_loaded=conflicts.loaded,
        updated=conflicts.updated,
    )


def _insert_staged(cursor: Cursor, load: Load, table: str) -> LoadReport:
    values = {column.into: column.into for column in load.columns}
    return insert_checked(cursor, load, values, load_checks.staged_position(cursor, table), table)


def insert_checked(
    cursor: Cursor, load: Load, values: dict[str, str], position: str, table: str
) -> LoadReport:
    """Insert rows that were checked as runs.

    Args:
        cursor: The transaction's cursor.
        load: The load.
        values: The SQL of the values of the columns of ``runs``.
        position: The SQL of a row's place among all rows, from 0.
        table: The rows.

    Raises:
        StoreError: The store can't write the runs.
    """
    if load.made_per_run:
        table, position = _with_run_defaults(cursor, load, table, position)
    try:
        return _insert_rows(cursor, load, values, position, [table])
    except duckdb.Error as error:
        if store_error_of(error) is not None:
            raise
        raise StoreError(
            f"The store can't write the runs, so nothing was loaded: {message_of(error)}"
        ) from cause(error)


def _with_run_defaults(cursor: Cursor, load: Load, table: str, position: str) -> tuple[str, str]:
    """Return the SQL of the rows with their own defaults, and of their position."""
    [(rows,)] = cursor.execute(f"SELECT count(*) FROM {table}").fetchall()
    stage_run_defaults(cursor, load.made_per_run, rows, _taken(cursor, load, table))
    if position != quote(POSITION):
        table = f"(SELECT *, {position} AS {quote(POSITION)} FROM {table})"
    return f"{table} POSITIONAL JOIN {RUN_DEFAULTS}", quote(POSITION)


def _taken(cursor: Cursor, load: Load, table: str) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which of the rows take the default that a factory makes, by column of ``runs``."""
    marks = {f.column: load.absent[quote(f.column)] for f in load.partial if is_made_per_run(f)}
    if not marks:
        return {}
    found = cursor.sql(f"SELECT {', '.join(map(quote, marks.values()))} FROM {table}")
    masks = found.to_arrow_table()
    return {column: masks[mark].to_numpy() for column, mark in marks.items()}


def _insert_rows(
    cursor: Cursor, load: Load, values: dict[str, str], position: str, tables: Iterable[str]
) -> LoadReport:
    """Insert the rows of `tables` as runs, numbered by their `position` among all rows, from 0."""
    layout = load.layout
    first = next_seq(cursor, layout.name)
    made = {quote(field.column): run_default(field) for field in load.made_per_run}
    filled = {**load.defaults, **made}
    present = {into: _present(load, into, value, filled) for into, value in values.items()}
    of_runs = {**engine_values(layout, load.code, load.now), **filled, **present}
    of_runs["foreign_id"] = of_runs.pop(STAGED_ID)
    loaded = 0
    for table in tables:
        [(inserted,)] = cursor.execute(
            f"INSERT INTO {layout.runs} (seq, {', '.join(of_runs)}) "
            f"SELECT {first} + {position}, {', '.join(of_runs.values())} FROM {table}"
        ).fetchall()
        loaded += inserted
        crash_point.reached("within_load")
    set_next_seq(cursor, layout.name, first + loaded)
    return _report(load, first, loaded)


def _present(load: Load, into: str, value: str, filled: Mapping[str, str]) -> str:
    """Return the SQL of a column's values, and of the default where a record lacks its key."""
    if into not in load.absent:
        return value
    default = filled.get(into, "NULL")
    return f"CASE WHEN {quote(load.absent[into])} THEN {default} ELSE {value} END"


def _report(load: Load, first_seq: int, loaded: int) -> LoadReport:
    return LoadReport(
        workflow=load.layout.name,
        status=load.layout.workflow.status_names[load.code],
        code=load.code,
        loaded=loaded,
        filled=load.filled,
        first_seq=first_seq,
        last_seq=first_seq + loaded - 1,
    )
