"""The runs that ended the worker that executed their step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from batchflow.errors import StepAbandoned, StepTimeout, WorkerDied
from batchflow.store.database.fetching import fetch
from batchflow.store.database.instance import Cursor
from batchflow.store.runs.unfinished import UNFINISHED
from batchflow.store.schema.layout import Layout, literal

if TYPE_CHECKING:
    import pyarrow as pa

_ENDED_A_WORKER: Final = ", ".join(literal(kind.__name__) for kind in (WorkerDied, StepTimeout))


def suspects(cursor: Cursor, layout: Layout) -> pa.Table:
    """Return the unfinished runs that ended a worker, or didn't return, at their present status.

    A call of a row step that didn't return holds up the runs after it in its chunk. A call of a
    batch step may only have been long, and calling its runs one by one would take longer still.

    The columns are ``status`` (uint8, its code) and ``seq`` (int64).
    """
    steps = layout.workflow.steps.items()
    codes = [code for code, step in steps if step.kind.calls_each_run]
    hung = (
        f"e.type = {literal(StepAbandoned.__name__)} "
        f"AND e.status IN ({', '.join(map(layout.status, codes))})"
        if codes
        else "false"
    )
    query = f"""
        SELECT DISTINCT enum_code(r.status) AS status, r.seq
        FROM {layout.runs} AS r
        JOIN {layout.errors} AS e ON e.seq = r.seq AND e.status = r.status
        WHERE (e.type IN ({_ENDED_A_WORKER}) OR ({hung})) AND {UNFINISHED}"""
    return fetch(cursor.sql(query))
