"""Waiting for a run to get to a status."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from batchflow.definition import RunState
from batchflow.errors import RunUnreachableError

if TYPE_CHECKING:
    from uuid import UUID

    from batchflow.coordinator import Tally
    from batchflow.definition import AnyWorkflow
    from batchflow.store import Arrival, Store


class Waiting:
    """Looks again whenever something was committed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._news = threading.Condition()
        self._number = 0
        self._failure: BaseException | None = None

    def notify(self, _: Tally | None = None) -> None:
        """Say that runs changed."""
        with self._news:
            self._number += 1
            self._news.notify_all()

    def notify_failure(self, error: BaseException) -> None:
        """Say that the coordinator has ended with an error: nobody will get anywhere."""
        self._failure = error
        self.notify()

    def forget_failure(self) -> None:
        """Begin anew."""
        self._failure = None

    def wait(
        self,
        workflow: AnyWorkflow,
        run_id: UUID,
        code: int,
        timeout_seconds: float | None,
    ) -> None:
        """Return once the run is, or has been, at the status with this code.

        Raises:
            TimeoutError: it wasn't there in time.
            RunUnreachableError: it can't get there any more.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            number = self._number
            arrival = self._store.arrival(workflow, run_id, code)
            if arrival.reached:
                return
            _refuse_if_unreachable(workflow, run_id, code, arrival)
            if self._failure is not None:
                raise self._failure
            self._await_news(number, deadline, workflow, run_id, code, arrival)

    def _await_news(
        self,
        number: int,
        deadline: float | None,
        workflow: AnyWorkflow,
        run_id: UUID,
        code: int,
        arrival: Arrival,
    ) -> None:
        left = None if deadline is None else deadline - time.monotonic()
        with self._news:
            came = self._news.wait_for(lambda: self._number != number, left)
        if not came:
            raise TimeoutError(
                f"run {run_id} didn't get to {workflow.status_names[code]} in time; it is at "
                f"{workflow.status_names[arrival.code]} ({arrival.run_state.name}): is a "
                "coordinator at work (engine.start())?"
            )


def _refuse_if_unreachable(
    workflow: AnyWorkflow, run_id: UUID, code: int, arrival: Arrival
) -> None:
    wanted, present = workflow.status_names[code], workflow.status_names[arrival.code]
    if not arrival.run_state.runnable:
        why = f"it is {arrival.run_state.name}"
    elif code not in workflow.graph.reachable_from(frozenset({arrival.code})):
        why = "no step leads from there to it"
    else:
        return
    reason = f": {arrival.reason}" if arrival.reason else ""
    remedy = "; resume it first" if arrival.run_state is RunState.PAUSED else ""
    raise RunUnreachableError(
        f"run {run_id} can't get to {wanted} any more: it stands at {present}, and {why}{reason}"
        f"{remedy}",
        run_id=run_id,
        status=present,
        run_state=arrival.run_state.name,
        reason=arrival.reason,
    )
