"""Putting the runs back that failed too often, after the time that their step's `Retry` states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa

from batchflow.definition.outcome import Outcome
from batchflow.definition.retry_decision import FAILED_REASON, LONGEST_WAIT_SECONDS
from batchflow.definition.run_state import RunState
from batchflow.operation.requests import RetryRuns
from batchflow.store.database.connection import Connection
from batchflow.store.runs.claimed_runs import ClaimedRuns
from batchflow.store.runs.retry import retry_among
from batchflow.store.schema.layout import EDITED, RESUMED, RETRIED, Layout, literal

RETRIED_BY_ENGINE: Final = "retried by the engine"
_PAUSED: Final = literal(RunState.PAUSED.name)


@dataclass(frozen=True, eq=False)
class PausedRuns:
    """The paused runs of a workflow that the engine puts back.

    Attributes:
        completed: What `retry_runs` returns of those that it has put back; None if none was due.
        next_at: The time at which the next one is due; None without one.
    """

    completed: pa.Table | None
    next_at: datetime | None


def retry_paused(
    connection: Connection,
    layout: Layout,
    claimed: ClaimedRuns,
    forget_unfinished: Callable[[], None],
    now: datetime,
) -> PausedRuns:
    """Put the runs back that are due, in one transaction, as `retry_runs` does."""
    if not _policies(layout):
        return PausedRuns(None, None)
    waiting, completed = _waiting(layout), None
    # DuckDB has no parameters in the text of a query that is part of another one.
    due = f"resume_at <= {literal(now.isoformat())}::TIMESTAMPTZ"
    counted = f"SELECT count(*) FILTER ({due}), min(resume_at) FILTER (NOT {due}) FROM ({waiting})"
    with connection.reading() as cursor:
        [(count, next_at)] = cursor.execute(counted).fetchall()
    if count:
        request = RetryRuns(
            where=f"run_state = {_PAUSED}", reason=RETRIED_BY_ENGINE, workflow=layout.name
        )
        among = f"SELECT seq FROM ({waiting}) WHERE {due}"
        _, completed = retry_among(
            connection, layout, request, among, claimed, forget_unfinished, now
        )
    return PausedRuns(completed, next_at)


def _policies(layout: Layout) -> list[str]:
    """Return status, wait and most for each step whose runs are put back, as rows in SQL."""
    rows = []
    for code, step in layout.workflow.steps.items():
        retry = step.options.retry
        if retry.resume_seconds is not None:
            wait = int(min(retry.resume_seconds, LONGEST_WAIT_SECONDS) * 1_000_000)
            rows.append(f"({layout.status(code)}, {wait}, {retry.resume_most})")
    return rows


def _waiting(layout: Layout) -> str:
    """Return the query for the ``seq`` of the runs to put back, and ``resume_at``.

    In the log, pauses by failures have another outcome than pauses by steps and by people. Only
    transitions with a reason matter, as all pauses have one, and all that ends a pause. A run that
    you put back may be put back as often again.
    """
    failed, resumed = literal(Outcome.FAILED.name.lower()), literal(RESUMED)
    retried, by_engine = literal(RETRIED), literal(RETRIED_BY_ENGINE)
    return f"""
        WITH policy(status, wait, most) AS (VALUES {", ".join(_policies(layout))}),
        paused AS (
            SELECT r.seq, r.status, p.wait, p.most
            FROM {layout.runs} AS r JOIN policy AS p ON r.status::VARCHAR = p.status
            WHERE r.run_state = {_PAUSED} AND starts_with(r.reason, {literal(FAILED_REASON)})
        ),
        logged AS (
            SELECT t.*, p.status, p.wait, p.most, max(t.version) FILTER (
                t.outcome = {resumed}
                OR (t.outcome = {retried} AND t.reason IS DISTINCT FROM {by_engine})
            ) OVER (PARTITION BY t.seq) AS put_back
            FROM {layout.transitions_with_reason} AS t JOIN paused AS p USING (seq)
            WHERE t.outcome <> {literal(EDITED)}
        )
        SELECT seq, max_by(committed_at, version) + to_microseconds(any_value(wait)) AS resume_at
        FROM logged GROUP BY seq
        HAVING max_by(outcome, version) = {failed} AND any_value(most) > count(*) FILTER (
            outcome = {retried} AND reason = {by_engine} AND to_status = status
            AND version > coalesce(put_back, 0)
        )"""
