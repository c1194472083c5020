"""The queries that count the runs by status, whose answers change only with the store."""

from __future__ import annotations

from typing import Final

from batchflow.definition.run_state import RunState
from batchflow.store.schema.layout import literal, quote
from batchflow.store.schema.tables import Tables

UNFINISHED_STATES: Final = ", ".join(
    literal(state.name) for state in RunState if not state.finished
)

_TABLE: Final = "{runs}"
_RUNS: Final = ".runs"

COUNTS: Final = (
    f"SELECT status, run_state, count(*) AS runs FROM {_TABLE} "
    "GROUP BY ALL ORDER BY status, run_state"
)
STATUS_COUNTS: Final = f"""
    SELECT status, run_state, count(*) AS runs,
           count(*) FILTER (attempt > 1 AND run_state IN ({UNFINISHED_STATES})) AS failing
    FROM {_TABLE}
    GROUP BY status, run_state
    ORDER BY status, run_state"""


def counts_query(tables: Tables) -> str:
    """Return the query for ``status``, ``run_state`` and ``runs``, in the order of the statuses."""
    return COUNTS.replace(_TABLE, tables.runs)


def status_counts_query(tables: Tables) -> str:
    """Return the query for the same and ``failing``: unfinished, and failed at their status."""
    return STATUS_COUNTS.replace(_TABLE, tables.runs)


def only_counts_runs(query: str) -> bool:
    """Return whether a text is one of these queries, of whichever workflow."""
    return any(_is_of(query, *text.split(_TABLE)) for text in (COUNTS, STATUS_COUNTS))


def _is_of(query: str, before: str, after: str) -> bool:
    if not (query.startswith(before) and query.endswith(_RUNS + after)):
        return False
    schema = query[len(before) : -len(_RUNS + after)]
    return schema == quote(schema[1:-1].replace('""', '"'))
