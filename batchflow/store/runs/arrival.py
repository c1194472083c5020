"""Where one run stands, and whether it has been at a status."""

from __future__ import annotations

from dataclasses import dataclass

from batchflow.definition.run_state import RunState
from batchflow.errors import RunNotFoundError
from batchflow.store.database.instance import Cursor
from batchflow.store.schema.layout import Layout


@dataclass(frozen=True)
class Arrival:
    """What `wait` looks at.

    Attributes:
        reached: whether the run is, or has been, at the status asked for; where transitions aren't
            recorded, whether it is.
        code: the status that it stands at.
        run_state: its run state.
        reason: why it is paused or cancelled, where that was said.
    """

    reached: bool
    code: int
    run_state: RunState
    reason: str | None


def arrival(cursor: Cursor, layout: Layout, seq: int, code: int) -> Arrival:
    """Look where the run stands and whether it has been at the status with this code.

    Raises:
        RunNotFoundError: there is no such run.
    """
    been = "false"
    if layout.workflow.record_transitions:
        wanted = layout.status(code)
        been = (
            f"EXISTS (FROM {layout.transitions} AS t WHERE t.seq = $seq "
            f"AND (t.from_status = {wanted} OR t.to_status = {wanted}))"
        )
    rows = cursor.execute(
        f"SELECT enum_code(status), enum_code(run_state), reason, {been} "
        f"FROM {layout.runs} WHERE seq = $seq",
        {"seq": seq},
    ).fetchall()
    if not rows:
        raise RunNotFoundError(f"workflow {layout.name!r} has no run number {seq}")
    present, state, reason, was_there = rows[0]
    return Arrival(was_there or present == code, present, RunState(state), reason)
