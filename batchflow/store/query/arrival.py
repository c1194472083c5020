"""Whether a run is, or has been, at a status."""

from __future__ import annotations

from dataclasses import dataclass

from batchflow.definition.run_state import RunState
from batchflow.definition.workflow import AnyWorkflow
from batchflow.store.query.catalog import FoundRun
from batchflow.store.query.relation import Relation
from batchflow.store.query.source import Source
from batchflow.store.schema.layout import literal
from batchflow.store.schema.run_id import run_not_found


@dataclass(frozen=True)
class Arrival:
    """The place of a run, for callers that wait for it.

    Attributes:
        reached: Whether it is, or has been, at one of the statuses; where transitions aren't
            recorded, whether it is.
        status: The name of the status that it is at.
        run_state: Its run state.
        reason: Why it is paused or cancelled, if a reason was given.
    """

    reached: bool
    status: str
    run_state: RunState
    reason: str | None


def arrival(
    source: Source, workflow: AnyWorkflow, run: FoundRun, statuses: tuple[str, ...]
) -> Arrival:
    """Return where a run is, and whether it is or has been at one of the statuses.

    Raises:
        RunNotFoundError: There is no such run.
    """
    query = (
        "SELECT status::VARCHAR, run_state::VARCHAR, reason "
        f"FROM {run.tables.runs} WHERE seq = $seq"
    )
    rows = Relation(source, query, {"seq": run.seq}).fetchall()
    if not rows:
        raise run_not_found(run.run_id)
    [(present, state, reason)] = rows
    run_state = RunState[state]
    reached = present in statuses or (
        # The log takes longer to search, and has nothing of a run that no step has moved.
        run_state is not RunState.INITIATED
        and workflow.record_transitions
        and _has_been(source, run, statuses)
    )
    return Arrival(reached, present, run_state, reason)


def _has_been(source: Source, run: FoundRun, statuses: tuple[str, ...]) -> bool:
    if not statuses:
        return False
    wanted = ", ".join(map(literal, statuses))
    query = (
        f"SELECT EXISTS (FROM {run.tables.transitions} AS t WHERE t.seq = $seq "
        f"AND (t.from_status IN ({wanted}) OR t.to_status IN ({wanted})))"
    )
    [(found,)] = Relation(source, query, {"seq": run.seq}).fetchall()
    return bool(found)
