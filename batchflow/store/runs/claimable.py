"""The runs of one status that a step may be given now, and the query that claims a batch of them.

A claim lives in the coordinator's memory alone, so a crash leaves nothing to undo.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from batchflow.definition.retry_decision import LONGEST_WAIT_SECONDS
from batchflow.definition.run_state import RUNNABLE
from batchflow.definition.step import Step
from batchflow.store.database.fetching import fetch
from batchflow.store.database.instance import Cursor
from batchflow.store.schema.layout import Layout, literal, quote

if TYPE_CHECKING:
    import pyarrow as pa

_RUNNABLE = ", ".join(literal(state.name) for state in RUNNABLE)

IS_RUNNABLE = f"run_state IN ({_RUNNABLE})"

# NTP adjusts clocks by fractions of a second all the time.
_GRACE_SECONDS = 1.0

CLAIMED_COLUMNS = (
    'seq AS "#seq"',
    'version AS "#version"',
    'attempt AS "#attempt"',
    'enum_code(run_state) AS "#run_state"',
    'foreign_id AS "#foreign_id"',
    'created_at AS "#created_at"',
)


def is_due(layout: Layout, codes: Iterable[int]) -> str:
    """Return the condition that a run at one of these statuses, which have steps, is due.

    A run whose wait is longer than its step's longest one is due as well: the clock was set back.
    """
    steps = layout.workflow.steps
    longest = {
        layout.status(code): int(longest_wait_seconds(steps[code]) * 1_000_000) for code in codes
    }
    bounds = set(longest.values())
    cases = " ".join(f"WHEN {status} THEN {bound}" for status, bound in longest.items())
    bound = bounds.pop() if len(bounds) == 1 else f"CASE status {cases} END"
    return (
        "(next_attempt_at IS NULL OR next_attempt_at <= $now "
        f"OR epoch_us(next_attempt_at) - epoch_us($now) > {bound})"
    )


def longest_wait_seconds(step: Step) -> float:
    """Return the longest wait for an attempt; a run with a longer one is due."""
    return _GRACE_SECONDS + min(step.options.retry.max_backoff_seconds, LONGEST_WAIT_SECONDS)


def claimable(layout: Layout, from_code: int) -> str:
    """Return the condition that a run from ``$first`` to ``$last`` may be given to its step now."""
    return (
        f"seq BETWEEN $first AND $last AND status = {layout.status(from_code)} "
        f"AND {IS_RUNNABLE} AND {is_due(layout, [from_code])} AND {layout.scope}"
    )


def claim_runs(
    cursor: Cursor,
    layout: Layout,
    from_code: int,
    seqs: tuple[int, int],
    now: datetime,
    fields: Sequence[str],
) -> pa.Table:
    """Return the runs with these seqs that are at a status, runnable and due, in no order.

    The columns are ``#seq`` (int64), ``#version`` and ``#attempt`` (int32), ``#run_state``
    (uint8), ``#foreign_id`` (string), ``#created_at`` (timestamp[us, UTC]), then `fields` by name.
    """
    chosen = (layout.workflow.field(name) for name in fields)
    columns = [*CLAIMED_COLUMNS, *(f"{quote(f.column)} AS {quote(f.name)}" for f in chosen)]
    query = f"SELECT {', '.join(columns)} FROM {layout.runs} WHERE {claimable(layout, from_code)}"
    first, last = seqs
    parameters = {"first": first, "last": last, "now": now}
    return fetch(cursor.sql(query, params=parameters))
