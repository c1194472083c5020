"""Putting runs back that failed, were stopped or have finished."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from batchflow.definition.redefined import known_status
from batchflow.definition.run_state import RUNNABLE, RunState, sources_of
from batchflow.definition.workflow import AnyWorkflow
from batchflow.errors import InvalidOptionError
from batchflow.operation import ControlReport
from batchflow.operation.requests import RetryRuns
from batchflow.store.database.connection import Connection
from batchflow.store.database.fetching import fetch
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, staged
from batchflow.store.query.causes import seqs_standing_at
from batchflow.store.query.local_source import LocalSource
from batchflow.store.runs.claimed_runs import ClaimedRuns
from batchflow.store.runs.control import Chosen, RunChange, change_runs
from batchflow.store.runs.unfinished import second_of_id
from batchflow.store.schema.layout import RETRIED, Layout, literal

IN_PROGRESS: Final = "in progress"
WITHOUT_STEP: Final = "at a status without a step"
ID_IN_USE: Final = "whose foreign id has another run"

_RUNNABLE: Final = ", ".join(literal(state.name) for state in RUNNABLE)
_RETRYABLE: Final = ", ".join(
    literal(state.name)
    for state in RunState
    if state.runnable or state in sources_of(RunState.RUNNING)
)


def retry_runs(
    connection: Connection,
    layout: Layout,
    request: RetryRuns,
    claimed: ClaimedRuns,
    forget_unfinished: Callable[[], None],
    now: datetime,
) -> tuple[ControlReport, pa.Table]:
    """Put the chosen runs back, in one transaction; see `Operations.retry`.

    Args:
        connection: The connection to the store.
        layout: Where the runs are.
        request: The runs, and where they continue.
        claimed: The runs that a drain has claimed.
        forget_unfinished: Called in the transaction, as finished runs become unfinished.
        now: The present.

    Returns:
        The report, and ``status`` (uint8, its code) and ``updated_at`` of the completed runs.

    Raises:
        DefinitionError: The workflow has no such status.
        InvalidOptionError: The status has no step.
        QueryError: The predicate can't be executed.
        RunNotFoundError: There are no runs with some of the run ids; nothing is changed.
    """
    among = _standing_at(connection, layout, request.cause)
    return retry_among(connection, layout, request, among, claimed, forget_unfinished, now)


def retry_among(
    connection: Connection,
    layout: Layout,
    request: RetryRuns,
    among: str | None,
    claimed: ClaimedRuns,
    forget_unfinished: Callable[[], None],
    now: datetime,
) -> tuple[ControlReport, pa.Table]:
    """Put those of the chosen runs back whose ``seq`` is in the rows of a query, if it is given."""
    code = None if request.at is None else _code_with_step(layout.workflow, request.at)
    status = "r.status" if code is None else layout.status(code)
    completed: list[pa.Table] = []

    def refuse(cursor: Cursor, chosen: Chosen) -> Chosen:
        if not request.dry_run:
            forget_unfinished()
        kept = _refused(layout, claimed, cursor, chosen)
        with staged(cursor, kept.finished):
            completed.append(fetch(cursor.sql(_completed(layout))))
        return kept

    change = RunChange(
        outcome=RETRIED,
        reason=request.reason,
        refusal=_refusal(layout, elsewhere=code is not None),
        run_state=RunState.RUNNING,
        assignments=(
            f"status = {status}",
            "reason = NULL",
            "next_attempt_at = NULL",
            "attempt = 1",
        ),
        to_status=status,
        among=among,
        refuse=refuse,
    )
    return change_runs(connection, layout, request, change, now), pa.concat_tables(completed)


def _standing_at(connection: Connection, layout: Layout, cause: str | None) -> str | None:
    return None if cause is None else seqs_standing_at(LocalSource(connection), layout, cause)


def _code_with_step(workflow: AnyWorkflow, at: enum.Enum | str) -> int:
    code = workflow.code_of(known_status(at, workflow.status_type))
    if code not in workflow.steps:
        names = ", ".join(workflow.status_names[each] for each in workflow.steps)
        raise InvalidOptionError(
            f"Workflow {workflow.name!r} has no step at {workflow.status_names[code]}, so no run "
            f"can continue there; give one of {names}.",
            option="at",
        )
    return code


def _refusal(layout: Layout, *, elsewhere: bool) -> str:
    """Return why the run ``r`` isn't put back, in SQL."""
    statuses = [layout.status(code) for code in layout.workflow.steps]
    has_step = f"r.status IN ({', '.join(statuses)})" if statuses else "false"
    stays = "" if elsewhere else f"WHEN NOT {has_step} THEN {literal(WITHOUT_STEP)} "
    return (
        f"CASE WHEN r.run_state NOT IN ({_RETRYABLE}) THEN r.run_state::VARCHAR "
        f"WHEN r.run_state IN ({_RUNNABLE}) AND r.attempt = 1 AND r.next_attempt_at IS NULL "
        f"THEN {literal(IN_PROGRESS)} {stays}END"
    )


def _refused(layout: Layout, claimed: ClaimedRuns, cursor: Cursor, chosen: Chosen) -> Chosen:
    """Refuse the runs that a step is executing, and those that would be second of their id."""
    claims = claimed.of(layout.name)
    of_chosen = pc.is_in(claims["seq"], value_set=chosen.allowed["#seq"].combine_chunks())
    executed = claims.filter(of_chosen)
    if executed.num_rows:
        with staged(cursor, executed):
            found = _seqs(
                cursor,
                f"SELECT r.seq FROM {layout.runs} AS r JOIN {STAGED} AS s USING (seq, version)",
            )
        chosen = chosen.refuse(found, IN_PROGRESS)
    if not chosen.finished.num_rows:
        return chosen
    with staged(cursor, chosen.finished):
        return chosen.refuse(_seqs(cursor, _second_of_id(layout)), ID_IN_USE)


def _seqs(cursor: Cursor, query: str) -> pa.Array:
    return fetch(cursor.sql(query))["seq"].combine_chunks()


def _completed(layout: Layout) -> str:
    """Return the query for the completed runs in the staged ones, which are finished."""
    return (
        f"SELECT enum_code(r.status)::UTINYINT AS status, r.updated_at FROM {layout.runs} AS r "
        f'JOIN {STAGED} AS s ON r.seq = s."#seq" WHERE r.run_state = {literal("COMPLETED")}'
    )


def _second_of_id(layout: Layout) -> str:
    """Return the query for those of the staged, finished runs that may not be unfinished."""
    waking = (
        f'SELECT r.seq, r.foreign_id FROM {layout.runs} AS r JOIN {STAGED} AS s ON r.seq = s."#seq"'
    )
    return second_of_id(layout, waking)
