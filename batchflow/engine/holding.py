"""Holding runs back, letting them go on, and ending them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchflow.chunk.answer import checked_reason
from batchflow.engine.asking import Asking
from batchflow.engine.signals import CtrlC
from batchflow.store.run_id import run_id_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from batchflow.clock import Clock
    from batchflow.coordinator import Coordinator
    from batchflow.definition import AnyWorkflow
    from batchflow.engine.waiting import Waiting
    from batchflow.store import Moved


class Holding(Asking):
    """What people do to runs by the set; whoever works on them, or waits, is told."""

    _clock: Clock
    _coordinator: Coordinator
    _waiting: Waiting

    def pause(
        self,
        where: str | None = None,
        *,
        run_ids: Sequence[UUID | str] | None = None,
        reason: str = "paused by hand",
        workflow: AnyWorkflow | str | None = None,
    ) -> Moved:
        """Pause the runs that a predicate (SQL over ``runs``) or a list chooses.

        Answers how many were paused, and how many refused because of their run state.
        """
        return self._hold(self._store.pause, where, run_ids, reason, workflow)

    def resume(
        self,
        where: str | None = None,
        *,
        run_ids: Sequence[UUID | str] | None = None,
        reason: str = "resumed by hand",
        workflow: AnyWorkflow | str | None = None,
    ) -> Moved:
        """Let paused runs go on where they stand, as on their first attempt."""
        return self._hold(self._store.resume, where, run_ids, reason, workflow)

    def cancel(
        self,
        where: str | None = None,
        *,
        run_ids: Sequence[UUID | str] | None = None,
        reason: str = "cancelled by hand",
        workflow: AnyWorkflow | str | None = None,
    ) -> Moved:
        """End runs where they stand, for good."""
        return self._hold(self._store.cancel, where, run_ids, reason, workflow)

    def _hold(
        self,
        verb: Any,
        where: str | None,
        run_ids: Sequence[UUID | str] | None,
        reason: str,
        workflow: AnyWorkflow | str | None,
    ) -> Moved:
        chosen = self._workflows.only(workflow)
        wanted = None if run_ids is None else [run_id_of(run_id) for run_id in run_ids]
        with CtrlC():
            moved: Moved = verb(
                chosen,
                where=where,
                run_ids=wanted,
                reason=checked_reason(reason),
                now=self._clock.now(),
            )
        self._coordinator.changed(chosen.name)
        self._waiting.notify(None)
        return moved
