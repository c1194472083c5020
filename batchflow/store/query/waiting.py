"""Waiting for a run to reach a status."""

from __future__ import annotations

import enum
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from batchflow.definition import RunState
from batchflow.definition.redefined import is_another
from batchflow.errors import InvalidOptionError, RunUnreachableError
from batchflow.store.query.arrival import arrival

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow
    from batchflow.store.query.arrival import Arrival
    from batchflow.store.query.catalog import FoundRun
    from batchflow.store.query.source import Source


Awaited: TypeAlias = "enum.Enum | str | Iterable[enum.Enum | str] | None"
"""A status or its name, several of them, or None for the end of the run."""


def awaited_statuses(workflow: AnyWorkflow, status: Awaited) -> tuple[str, ...]:
    """Return the names of the awaited statuses; none for the end of the run.

    Raises:
        DefinitionError: There is no such status.
    """
    if status is None:
        return ()
    given: object = [status] if isinstance(status, enum.Enum | str) else status
    statuses = list(given) if isinstance(given, Iterable) else []
    if not statuses:
        raise InvalidOptionError(
            f"status is {status!r}; give a status, several, or None for the end of the run.",
            option="status",
        )
    expected = workflow.status_type
    known = [
        each.name if isinstance(each, enum.Enum) and not is_another(type(each), expected) else each
        for each in statuses
    ]
    return tuple(workflow.status_names[workflow.code_of(each)] for each in known)


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
    statuses: tuple[str, ...],
    news: News,
    timeout_seconds: float | None,
) -> None:
    """Return once a run is, or has been, at one of the statuses; once it is finished, for none.

    Raises:
        TimeoutError: It didn't reach the status in time.
        RunUnreachableError: It can't reach the status any more.
        RunNotFoundError: There is no such run.
    """
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    while True:
        number = news.number
        found = arrival(source, workflow, run, statuses)
        if found.reached if statuses else found.run_state.finished:
            return
        _refuse_if_unreachable(workflow, run, statuses, found)
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError(
                f"Run {run.run_id} didn't {_goal(statuses)} in time; it is at {found.status} "
                f"({found.run_state.name}). Check that an engine is moving runs (engine.start() "
                "or engine.run())."
            )
        news.wait(number, left)


def _refuse_if_unreachable(
    workflow: AnyWorkflow, run: FoundRun, statuses: tuple[str, ...], found: Arrival
) -> None:
    if not found.run_state.runnable:
        why = f"it is {found.run_state.name}"
    elif statuses and not _leads_to(workflow, found.status, statuses):
        why = "no step leads from there to it"
    else:
        return
    reason = f": {found.reason}" if found.reason else ""
    remedy = "; resume it first" if found.run_state is RunState.PAUSED else ""
    raise RunUnreachableError(
        f"Run {run.run_id} can't {_goal(statuses)} any more: it is at {found.status}, and {why}"
        f"{reason}{remedy}.",
        run_id=run.run_id,
        status=found.status,
        run_state=found.run_state.name,
        reason=found.reason,
    )


def _goal(statuses: tuple[str, ...]) -> str:
    return f"reach {' or '.join(statuses)}" if statuses else "finish"


def _leads_to(workflow: AnyWorkflow, present: str, statuses: tuple[str, ...]) -> bool:
    codes = {name: code for code, name in enumerate(workflow.status_names)}
    reachable = workflow.graph.reachable_from(frozenset({codes[present]}))
    return any(codes[status] in reachable for status in statuses)
