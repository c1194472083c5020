"""Waiting for a run to reach a status."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from batchflow.definition import RunState
from batchflow.errors import RunUnreachableError
from batchflow.store.query.arrival import arrival

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow
    from batchflow.store.query.arrival import Arrival
    from batchflow.store.query.catalog import FoundRun
    from batchflow.store.query.source import Source


class News(Protocol):
    """Signals to a waiting caller when to read the store again."""

    @property
    def number(self) -> int:
        """The number of the latest news."""

    def wait(self, number: int, timeout_seconds: float | None) -> None:
        """Return when there are later news than these, or the time is up.

        Raises:
            BatchflowError: No run will be moved any more, as the coordinator failed.
        """


def wait_for_status(
    source: Source,
    workflow: AnyWorkflow,
    run: FoundRun,
    status: str,
    news: News,
    timeout_seconds: float | None,
) -> None:
    """Return once a run is, or has been, at a status.

    Raises:
        TimeoutError: It didn't reach the status in time.
        RunUnreachableError: It can't reach the status any more.
        RunNotFoundError: There is no such run.
    """
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    while True:
        number = news.number
        found = arrival(source, workflow, run, status)
        if found.reached:
            return
        _refuse_if_unreachable(workflow, run, status, found)
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError(
                f"Run {run.run_id} didn't reach {status} in time; it is at {found.status} "
                f"({found.run_state.name}). Check that an engine is moving runs (engine.start() "
                "or engine.run())."
            )
        news.wait(number, left)


def _refuse_if_unreachable(
    workflow: AnyWorkflow, run: FoundRun, status: str, found: Arrival
) -> None:
    if not found.run_state.runnable:
        why = f"it is {found.run_state.name}"
    elif not _leads_to(workflow, found.status, status):
        why = "no step leads from there to it"
    else:
        return
    reason = f": {found.reason}" if found.reason else ""
    remedy = "; resume it first" if found.run_state is RunState.PAUSED else ""
    raise RunUnreachableError(
        f"Run {run.run_id} can't reach {status} any more: it is at {found.status}, and {why}"
        f"{reason}{remedy}.",
        run_id=run.run_id,
        status=found.status,
        run_state=found.run_state.name,
        reason=found.reason,
    )


def _leads_to(workflow: AnyWorkflow, present: str, status: str) -> bool:
    codes = {name: code for code, name in enumerate(workflow.status_names)}
    return codes[status] in workflow.graph.reachable_from(frozenset({codes[present]}))
