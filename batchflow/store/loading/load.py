"""Start a run for each row of a source, in one transaction and without a loop over rows.

Several files are loaded one by one, so that no file's values depend on another's types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

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
    stage_run_defaults,
)
from batchflow.store.loading.fitted_table import MISFIT, Wanted
from batchflow.store.loading.ledger import Ledger, SourceFile, source_files
from batchflow.store.loading.load_checks import STAGE, Load
from batchflow.store.loading.load_keys import ForeignIdCheck, UncleanKeysError
from batchflow.store.loading.load_plan import (
    STAGED_ID,
    engine_values,
    plan_columns,
)
from batchflow.store.loading.rejected import keep_rejected
from batchflow.store.loading.source_instance import POSITION, OutsideRows, source_instance
from batchflow.store.loading.sources import LoadSource, open_source
from batchflow.store.loading.starting_point import starting_code
from batchflow.store.loading.updates import update_runs
from batchflow.store.runs.claimed_runs import ClaimedRuns
from batchflow.store.schema.layout import Layout, next_seq, quote, set_next_seq


@dataclass(frozen=True)
class _Call:
    """One call of `load`, whatever its source is."""

    connection: Connection
    layout: Layout
    request: TriggerMany
    code: int
    now: datetime
    claimed: ClaimedRuns
    reader: Cursor | None = None


class _NotDirectError(Exception):
    """A row conflicts, so that the rows have to be staged."""


def load(
    connection: Connection,
    layout: Layout,
    request: TriggerMany,
    now: datetime,
    claimed: ClaimedRuns | None = None,
) -> LoadReport:
    """Start a run for each row of a source: all, or none.

    Each file is loaded with its own columns and types, and entered in the ledger in the same
    transaction. A file whose content is in the ledger is skipped. A foreign id with an unfinished
    run isn't started again. Values are converted to their fields' types if that loses nothing. For
    columns that the source lacks, the runs get their fields' defaults; a default factory is called
    once for each run.

    Args:
        connection: The connection to the store; the load waits for its write lock.
        layout: Where the runs of the workflow are stored.
        request: The source, what to do with rows that can't be loaded, and where the runs begin.
        now: The time of the runs' creation.
        claimed: The runs that a drain has claimed, which ``on_conflict="update"`` leaves alone.

    Raises:
        SourceError: The source can't be read, lacks columns, or has columns of other types.
        InvalidRowsError: Rows don't fit the fields' types, and ``on_invalid`` is "error".
        ConflictError: Foreign ids have an unfinished run or occur twice, and ``on_conflict`` is
            "error".
        LoadError: The status where the runs begin is not clear, or a default doesn't fit its
            field.
    """
    code = starting_code(layout.workflow, request.at)
    call = _Call(connection, layout, request, code, now, claimed or ClaimedRuns())
    files = source_files(connection.cursor(), request.source)
    if not files:
        with _opened(call, request.source) as load, connection.write() as cursor:
            return _load_staged(cursor, load)
    with source_instance(connection.cursor()) as reader:
        call = replace(call, reader=reader)
        try:
            return _load_files(call, files, directly=True)
        except (duckdb.ConstraintException, UncleanKeysError, _NotDirectError):
            # A third slower than directly from the source, but it finds the rows that don't fit.
            return _load_files(call, files, directly=False)


def _load_files(call: _Call, files: Sequence[SourceFile], *, directly: bool) -> LoadReport:
    """Load the files that aren't in the ledger, in one transaction."""
    with call.connection.write() as cursor:
        ledger = Ledger(cursor, call.layout.name)
        report = _nothing_loaded(cursor, call)
        skipped = []
        for file in files:
            known = None if call.request.again else ledger.skipped(file)
            if known is None:
                report += _load_file(cursor, call, ledger, file, directly=directly)
            else:
                skipped.append(known)
    return replace(report, skipped_files=tuple(skipped))


def _load_file(
    cursor: Cursor, call: _Call, ledger: Ledger, file: SourceFile, *, directly: bool
) -> LoadReport:
    load_id = ledger.next_id()
    with _opened(call, file.name) as opened:
        load = replace(opened, file=file, load_id=load_id)
        outside = load.source.outside
        if directly and outside is not None and load_checks.is_repeatable(load):
            report = _load_directly(cursor, load, outside)
        else:
            report = _load_staged(cursor, load)
    file.require_unchanged()
    return replace(report, files=(ledger.enter(load_id, file, report, call.now),))


@contextmanager
def _opened(call: _Call, given: Any) -> Iterator[Load]:
    """Open a source, and plan how its columns are loaded."""
    layout, request = call.layout, call.request
    cursor, log_values = call.connection.cursor(), call.connection.log_values
    wanted = Wanted(layout.fields, request.foreign_id, request.strict, log_values)
    with open_source(cursor, layout.workflow, given, wanted, call.reader) as source:
        columns = plan_columns(source, _match(source, wanted), layout)
        loaded = {column.into for column in columns}
        missing = [field for field in layout.fields if quote(field.column) not in loaded]
        constant = [field for field in missing if not is_made_per_run(field)]
        with defaults(cursor, constant) as values:
            yield Load(
                *(layout, source, columns, values, request, call.code, call.now),
                claimed=call.claimed,
                log_values=log_values,
                missing=missing,
            )


def _match(source: LoadSource, wanted: Wanted) -> ColumnMatch:
    if source.fitted is not None:
        return source.fitted.match
    refuse_alike(source.label, source.written, wanted.fields, wanted.foreign_id)
    names = list(source.columns)
    return match_columns(source.label, names, wanted.fields, wanted.foreign_id, wanted.strict)


def _nothing_loaded(cursor: Cursor, call: _Call) -> LoadReport:
    first = next_seq(cursor, call.layout.name)
    status = call.layout.workflow.status_names[call.code]
    return LoadReport(call.layout.name, status, call.code, 0, first, first - 1)


def _load_directly(cursor: Cursor, load: Load, outside: OutsideRows) -> LoadReport:
    """Store the rows directly from the source, or raise if one is invalid or conflicts."""
    if source_conflicts(cursor, load):
        raise _NotDirectError
    return _insert_from_source(cursor, load, outside)


def _insert_from_source(cursor: Cursor, load: Load, outside: OutsideRows) -> LoadReport:
    values = {column.into: column.value for column in load.columns}
    watch = ForeignIdCheck(outside, load.columns[0])
    with load.source.tables(cursor, [*load.source_columns, MISFIT], watch) as tables:
        report = _insert(cursor, load, values, quote(POSITION), tables)
    watch.check_rows(report.loaded, load.source.label)
    return report


def _load_staged(cursor: Cursor, load: Load) -> LoadReport:
    profile = load_checks.stage(cursor, load)
    wrong = profile.rows - profile.valid
    invalid = load_checks.check_valid(cursor, load, profile) if wrong else ()
    conflicts = find_conflicts(cursor, load, profile)
    if conflicts.updated:
        update_runs(cursor, load, conflicts.updated, conflicts.rejected)
    if wrong or conflicts.rejected:
        keep_rejected(cursor, load, profile)
    table = kept_rows(cursor, conflicts) if wrong or conflicts else STAGE
    report = _insert_staged(cursor, load, table)
    drop_stages(cursor)
    return replace(
        report,
        skipped_conflicts=conflicts.rejected,
        conflict_sample=conflicts.sample,
        skipped_invalid=wrong,
        invalid=invalid,
        skipped_loaded=conflicts.loaded,
        updated=conflicts.updated,
    )


def _insert_staged(cursor: Cursor, load: Load, table: str) -> LoadReport:
    values = {column.into: column.into for column in load.columns}
    position = load_checks.staged_position(cursor, table)
    if load.made_per_run:
        table, position = _with_run_defaults(cursor, load, table, position)
    try:
        return _insert(cursor, load, values, position, [table])
    except duckdb.Error as error:
        if store_error_of(error) is not None:
            raise
        raise StoreError(
            f"The store can't write the runs, so nothing was loaded: {message_of(error)}"
        ) from cause(error)


def _with_run_defaults(cursor: Cursor, load: Load, table: str, position: str) -> tuple[str, str]:
    """Return the SQL of the rows with their own defaults, and of their position."""
    [(rows,)] = cursor.execute(f"SELECT count(*) FROM {table}").fetchall()
    stage_run_defaults(cursor, load.made_per_run, rows)
    placed = f"(SELECT *, {position} AS {quote(POSITION)} FROM {table})"
    return f"{placed} POSITIONAL JOIN {RUN_DEFAULTS}", quote(POSITION)


def _insert(
    cursor: Cursor, load: Load, values: dict[str, str], position: str, tables: Iterable[str]
) -> LoadReport:
    """Insert the rows of `tables` as runs, numbered by their `position` among all rows, from 0."""
    layout = load.layout
    first = next_seq(cursor, layout.name)
    of_runs = {**engine_values(layout, load.code, load.now), **load.defaults, **values}
    of_runs.update({quote(field.column): quote(field.column) for field in load.made_per_run})
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
        filled=load.filled,
        first_seq=first_seq,
        last_seq=first_seq + loaded - 1,
    )
