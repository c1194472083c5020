"""The number of runnable runs at each status, by bucket of consecutive runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from batchflow.store.database.fetching import fetch
from batchflow.store.database.instance import Cursor
from batchflow.store.runs.claimable import IS_RUNNABLE, is_due
from batchflow.store.schema.layout import BUCKET_BITS, Layout

_WAITING_TYPES = {"status": pa.uint8(), "bucket": pa.int64(), "rows": pa.int64()}


@dataclass(frozen=True)
class WorkLeft:
    """The runnable runs at statuses that have a step.

    Attributes:
        due: Those that a step may be given now.
        waiting: Those that wait for another attempt.
        retried: Those that wait for another attempt, or are due for it.
    """

    due: int
    waiting: int
    retried: int


@dataclass(frozen=True, eq=False)
class BacklogCounts:
    """The runs that wait for a step.

    Attributes:
        waiting: The runs that are due now: ``status`` (uint8, its code), ``bucket`` (int64, 16,384
            seqs each), ``rows`` (int64).
        retrying: The number of the other runs, which wait for a retry: ``status``, ``rows``; a
            status may have several rows.
        next_attempt_at: The time at which the first of these is due; None without one.
        last_attempt_at: The time at which the last of these is due.
    """

    waiting: pa.Table
    retrying: pa.Table
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None


def count_backlog(cursor: Cursor, layout: Layout, now: datetime) -> BacklogCounts:
    """Count the runnable runs at statuses that have a step."""
    codes = sorted(layout.workflow.steps)
    statuses, due = ", ".join(map(layout.status, codes)), is_due(layout, codes)
    query = f"""
        SELECT enum_code(status) AS status, seq >> {BUCKET_BITS} AS bucket,
               count(*) FILTER ({due}) AS rows,
               count(*) FILTER (NOT {due}) AS retries,
               min(next_attempt_at) FILTER (NOT {due}) AS later,
               max(next_attempt_at) FILTER (NOT {due}) AS latest
        FROM {layout.runs}
        WHERE status IN ({statuses}) AND {IS_RUNNABLE} AND {layout.scope}
        GROUP BY ALL"""
    counted = fetch(cursor.sql(query, params={"now": now}))
    waiting = counted.filter(pc.greater(counted["rows"], 0))
    columns = {name: waiting[name].cast(kind) for name, kind in _WAITING_TYPES.items()}
    retries = counted.filter(pc.greater(counted["retries"], 0))
    return BacklogCounts(
        pa.table(columns),
        retries.select(["status", "retries"]).rename_columns(["status", "rows"]),
        pc.min(counted["later"]).as_py(),
        pc.max(counted["latest"]).as_py(),
    )


def count_work_left(cursor: Cursor, layout: Layout, now: datetime) -> WorkLeft:
    """Count the runnable runs at statuses that have a step, in one scan."""
    codes = sorted(layout.workflow.steps)
    if not codes:
        return WorkLeft(0, 0, 0)
    statuses, due = ", ".join(map(layout.status, codes)), is_due(layout, codes)
    query = f"""
        SELECT count(*) FILTER ({due}), count(*) FILTER (NOT {due}), count(next_attempt_at)
        FROM {layout.runs}
        WHERE status IN ({statuses}) AND {IS_RUNNABLE}"""
    [counted] = cursor.execute(query, {"now": now}).fetchall()
    return WorkLeft(*counted)
