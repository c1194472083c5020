"""Start a run for each row of a source, in one transaction and without a loop over rows.

No file's values depend on another's types.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial

import duckdb

from batchflow.operation.load_report import LoadReport
from batchflow.operation.requests import TriggerMany
from batchflow.store.database.connection import Connection
from batchflow.store.loading.ledger import source_files
from batchflow.store.loading.load_files import load_files
from batchflow.store.loading.load_keys import UncleanKeysError
from batchflow.store.loading.load_rows import LoadCall, NotDirectError, load_staged, opened
from batchflow.store.loading.source_instance import source_instance
from batchflow.store.loading.sources import is_sql, paths_of
from batchflow.store.loading.starting_point import starting_code
from batchflow.store.loading.url_copies import copied_urls, urls_of
from batchflow.store.runs.claimed_runs import ClaimedRuns
from batchflow.store.schema.layout import Layout


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
    call = LoadCall(connection, layout, request, code, now, claimed or ClaimedRuns())
    paths = paths_of(request.source)
    if not paths or is_sql(request.source):
        urls_of(request)
        with opened(call, request.source) as rows, connection.write() as cursor:
            return load_staged(cursor, rows)
    with (
        source_instance(connection.cursor()) as instance,
        copied_urls(connection, layout.name, request) as copies,
    ):
        reader = partial(connection.cursor_of, instance)
        with reader() as cursor:
            files = source_files(cursor, paths, copies)
        call = replace(call, reader=reader)
        try:
            return load_files(call, files, directly=True)
        except (duckdb.ConstraintException, UncleanKeysError, NotDirectError):
            # A third slower than directly from the source, but it finds the rows that don't fit.
            return load_files(call, files, directly=False)
