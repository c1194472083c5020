"""The runs that were put back, and that a step may be given again now."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import pyarrow as pa

from batchflow.store.database.fetching import fetch
from batchflow.store.database.instance import Cursor
from batchflow.store.runs.claimable import IS_RUNNABLE, is_due
from batchflow.store.schema.layout import RETRIED, Layout, literal

_NONE: Final = pa.schema({"seq": pa.int64(), "status": pa.uint8(), "due": pa.bool_()}).empty_table()


def find_reruns(cursor: Cursor, layout: Layout, now: datetime) -> pa.Table:
    """Return the runnable runs that were put back: ``seq``, ``status`` (its code), ``due``.

    Only the log shows that a run was put back.
    """
    codes = sorted(layout.workflow.steps)
    if not layout.workflow.record_transitions:
        return _NONE
    statuses = ", ".join(map(layout.status, codes))
    query = f"""
        SELECT seq, enum_code(status)::UTINYINT AS status, {is_due(layout, codes)} AS due
        FROM {layout.runs}
        WHERE status IN ({statuses}) AND {IS_RUNNABLE} AND seq IN (
            SELECT seq FROM {layout.transitions_with_reason} WHERE outcome = {literal(RETRIED)}
        )"""
    return fetch(cursor.sql(query, params={"now": now}))
