"""Hand-overs: which finished runs, in which version, each part of an export has.

A part is chosen and stored in one transaction before its files are written, and ended in another
one afterwards. So whatever ends the process in between, the next export writes the same part again.
The runs are known by their seq and version, which no clock and no order of commits affects.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import duckdb

from batchflow import crash_point
from batchflow.definition.run_state import RunState
from batchflow.errors import InvalidOptionError
from batchflow.operation import ExportPart
from batchflow.operation.parameters import params_of
from batchflow.operation.requests import BeginExport, EndExport
from batchflow.store.database.connection import Connection
from batchflow.store.database.duckdb_message import cause, message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.database.store_error import store_error_of
from batchflow.store.query.queries import predicate, refused_predicate
from batchflow.store.runs.commit import refusing
from batchflow.store.schema.layout import literal
from batchflow.store.schema.tables import Tables

_FINISHED: Final = ", ".join(literal(state.name) for state in RunState if state.finished)
_CHOSEN: Final = "batchflow_exported"


def begin_export(
    connection: Connection, tables: Tables, request: BeginExport, now: datetime
) -> ExportPart:
    """Return the part that isn't ended yet, or choose a new one; see `Operations.begin_export`.

    Raises:
        InvalidOptionError: The part that isn't ended yet has another destination.
        QueryError: The predicate can't be executed.
    """
    with connection.write() as cursor, refusing(connection):
        found = _unended(cursor, tables, request)
        if found is not None:
            return found
        rows = _choose(cursor, tables, request)
        if rows == 0:
            cursor.execute(f"DROP TABLE {_CHOSEN}").fetchall()
            return ExportPart(tables.name)
        part = _store(cursor, tables, request, rows, now)
        crash_point.reached("within_export")
    crash_point.reached("export_begun")
    return part


def end_export(connection: Connection, request: EndExport, now: datetime) -> bool:
    """Record that a part was written, and return whether it wasn't recorded before."""
    crash_point.reached("export_written")
    with connection.write() as cursor:
        [(changed,)] = cursor.execute(
            "UPDATE batchflow.exports SET ended_at = ? WHERE export_id = ? AND ended_at IS NULL",
            [now, request.number],
        ).fetchall()
    return bool(changed)


def _unended(cursor: Cursor, tables: Tables, request: BeginExport) -> ExportPart | None:
    found = cursor.execute(
        "SELECT export_id, first_position, last_position, destination FROM batchflow.exports "
        "WHERE name = ? AND workflow = ? AND ended_at IS NULL",
        [request.since, tables.name],
    ).fetchall()
    if not found:
        return None
    [(number, first, last, destination)] = found
    if destination != request.to and not request.replace:
        raise InvalidOptionError(
            f"The export since {request.since!r} to {destination!r} was interrupted. Repeat it "
            "there first, or give replace=True to write the same runs here instead.",
            option="to",
        )
    if destination != request.to:
        cursor.execute(
            "UPDATE batchflow.exports SET destination = ? WHERE export_id = ?",
            [request.to, number],
        ).fetchall()
    return ExportPart(tables.name, number, first, last, _query(tables, number))


def _choose(cursor: Cursor, tables: Tables, request: BeginExport) -> int:
    where, params = request.where, params_of(request.params)
    condition = "true" if where is None else predicate(tables, where, params)
    # No parameters, as those of the predicate may have no names.
    statement = (
        f"CREATE TEMP TABLE {_CHOSEN} AS SELECT seq, version FROM {tables.runs} "
        f"WHERE run_state IN ({_FINISHED}) AND {condition} AND (seq, version) NOT IN "
        "(SELECT (e.seq, e.version) FROM batchflow.exported_runs AS e "
        "JOIN batchflow.exports AS x USING (export_id) "
        f"WHERE x.name = {literal(request.since)} AND x.workflow = {literal(tables.name)})"
    )
    try:
        [(rows,)] = cursor.execute(statement, params).fetchall()
    except duckdb.Error as error:
        lacks_memory = isinstance(error, duckdb.OutOfMemoryException)
        if where is None or lacks_memory or store_error_of(error) is not None:
            raise
        raise refused_predicate(tables, where, message_of(error)) from cause(error)
    return int(rows)


def _store(
    cursor: Cursor, tables: Tables, request: BeginExport, rows: int, now: datetime
) -> ExportPart:
    [(number,)] = cursor.execute(
        "SELECT coalesce(max(export_id), 0) + 1 FROM batchflow.exports"
    ).fetchall()
    [(first,)] = cursor.execute(
        "SELECT coalesce(max(last_position), 0) FROM batchflow.exports "
        "WHERE name = ? AND workflow = ?",
        [request.since, tables.name],
    ).fetchall()
    cursor.execute(
        "INSERT INTO batchflow.exports VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
        [number, request.since, tables.name, request.to, first, first + rows, now],
    ).fetchall()
    cursor.execute(
        f"INSERT INTO batchflow.exported_runs SELECT {number}, seq, version FROM {_CHOSEN} "
        "ORDER BY seq"
    ).fetchall()
    cursor.execute(f"DROP TABLE {_CHOSEN}").fetchall()
    return ExportPart(tables.name, number, first, first + rows, _query(tables, number))


def _query(tables: Tables, number: int) -> str:
    """Return the query for the runs of a part that are still in the version that was chosen."""
    return (
        f"SELECT r.* FROM {tables.runs} AS r JOIN batchflow.exported_runs AS e "
        f"ON e.seq = r.seq AND e.version = r.version WHERE e.export_id = {number} ORDER BY r.seq"
    )
