"""Start a run for each row of a source, in one transaction and without a loop over rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import duckdb

from batchflow import crash_point
from batchflow.errors import StoreError
from batchflow.operation.load_report import LoadReport
from batchflow.operation.requests import TriggerMany
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.database.store_error import store_error_of
from batchflow.store.loading import load_checks
from batchflow.store.loading.column_match import match_columns, refuse_alike
from batchflow.store.loading.load_checks import STAGE, Load
from batchflow.store.loading.load_keys import ForeignIdCheck, UncleanKeysError
from batchflow.store.loading.load_plan import (
    STAGED_ID,
    defaults,
    engine_values,
    plan_columns,
)
from batchflow.store.loading.source_instance import OutsideRows
from batchflow.store.loading.sources import open_source
from batchflow.store.loading.starting_point import starting_code
from batchflow.store.schema.layout import Layout, next_seq, quote, set_next_seq


def load(connection: Connection, layout: Layout, request: TriggerMany, now: datetime) -> LoadReport:
    """Start a run for each row of a source: all, or none.

    A foreign id with an unfinished run isn't started again, so you can load the same source twice.
    Values are converted to their fields' types if that loses nothing. For columns that the source
    lacks, the runs get their fields' defaults; a default factory is called once.

    Args:
        connection: The connection to the store; the load waits for its write lock.
        layout: Where the runs of the workflow are stored.
        request: The source, what to do with rows that can't be loaded, and where the runs begin.
        now: The time of the runs' creation.

    Raises:
        SourceError: The source can't be read, lacks columns, or has columns of other types.
        InvalidRowsError: Rows don't fit the fields' types, and ``on_invalid`` is "error".
        ConflictError: Foreign ids have an unfinished run or occur twice, and ``on_conflict`` is
            "error".
        LoadError: The status where the runs begin is not clear, or a default doesn't fit its
            field.
    """
    code = starting_code(layout.workflow, request.at)
    cursor = connection.cursor()
    log_values = connection.log_values
    with open_source(
        cursor, layout.workflow, request.source, request.foreign_id, log_values
    ) as source:
        refuse_alike(source.label, source.written, layout.fields, request.foreign_id)
        names = list(source.columns)
        match = match_columns(
            source.label, names, layout.fields, request.foreign_id, request.strict
        )
        columns = plan_columns(source, match, layout)
        missing = [field for field in layout.fields if field.name not in match.columns]
        with defaults(cursor, missing) as values:
            loading = Load(layout, source, columns, values, request, code, now, log_values)
            return _load(connection, loading)


def _load(connection: Connection, load: Load) -> LoadReport:
    if load.source.outside is not None and load_checks.is_repeatable(load):
        report = _load_directly(connection, load, load.source.outside)
        if report is not None:
            return report
    with connection.write() as cursor:
        return _load_staged(cursor, load)


def _load_directly(connection: Connection, load: Load, outside: OutsideRows) -> LoadReport | None:
    """Store the rows directly from the source; return None if a row is invalid or conflicts.

    This is a third faster than through a temporary table, which finds those rows.
    """
    try:
        with connection.write() as cursor:
            if load_checks.source_conflicts(cursor, load):
                return None
            return _insert_from_source(cursor, load, outside)
    except (duckdb.ConstraintException, UncleanKeysError):
        return None


def _insert_from_source(cursor: Cursor, load: Load, outside: OutsideRows) -> LoadReport:
    values = {column.into: column.value for column in load.columns}
    watch = ForeignIdCheck(outside, load.columns[0])
    with load.source.tables(cursor, load.source_columns, watch) as tables:
        report = _insert(cursor, load, values, quote(outside.position), tables)
    watch.check_rows(report.loaded, load.source.label)
    return report


def _load_staged(cursor: Cursor, load: Load) -> LoadReport:
    profile = load_checks.stage(cursor, load)
    wrong = profile.rows - profile.valid
    invalid = load_checks.check_valid(cursor, load, profile) if wrong else ()
    conflicts = load_checks.find_conflicts(cursor, load, profile)
    sample = load_checks.conflict_sample(cursor, load, conflicts) if conflicts else ()
    report = _insert_staged(cursor, load, load_checks.keep(cursor) if wrong or conflicts else STAGE)
    load_checks.drop_stages(cursor)
    return replace(
        report,
        skipped_conflicts=conflicts,
        conflict_sample=sample,
        skipped_invalid=wrong,
        invalid=invalid,
    )


def _insert_staged(cursor: Cursor, load: Load, table: str) -> LoadReport:
    values = {column.into: column.into for column in load.columns}
    position = load_checks.staged_position(cursor, table)
    try:
        return _insert(cursor, load, values, position, [table])
    except duckdb.Error as error:
        if store_error_of(error) is not None:
            raise
        raise StoreError(
            f"The store can't write the runs, so nothing was loaded: {message_of(error)}"
        ) from cause(error)


def _insert(
    cursor: Cursor, load: Load, values: dict[str, str], position: str, tables: Iterable[str]
) -> LoadReport:
    """Insert the rows of `tables` as runs, numbered by their `position` among all rows, from 0."""
    layout = load.layout
    first = next_seq(cursor, layout.name)
    of_runs = {**engine_values(layout, load.code, load.now), **load.defaults, **values}
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


def _report(load: Load, first_seq: int, loaded: int) -> LoadReport:
    return LoadReport(
        workflow=load.layout.name,
        status=load.layout.workflow.status_names[load.code],
        code=load.code,
        loaded=loaded,
        first_seq=first_seq,
        last_seq=first_seq + loaded - 1,
    )
