"""Holding runs back, letting them go on, ending them, and removing what has finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchflow.definition.reason import checked_reason
from batchflow.engine.arguments import finished_by
from batchflow.engine.asking import Asking
from batchflow.engine.signals import CtrlC
from batchflow.store import PruneOptions
from batchflow.store.schema.run_id import run_id_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from batchflow.clock import Clock
    from batchflow.coordinator import Coordinator
    from batchflow.definition import AnyWorkflow
    from batchflow.engine.waiting import Waiting
    from batchflow.store import Moved, Pruned


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

    def prune(
        self,
        finished_before: timedelta | datetime,
        where: str | None = None,
        *,
        workflow: AnyWorkflow | str | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove runs that are completed or cancelled, with their transitions and errors.

        Each workflow's are removed in one transaction: all of them, or none. The file uses their
        space again. A drain may go on meanwhile; commits wait for it.

        Args:
            finished_before: the runs that have finished before this moment (a naive one is meant in
                local time), or so long ago by the engine's clock.
            where: of these, those that a predicate (SQL over ``runs``) chooses.
            workflow: of which workflow; all of the engine's by default, but with ``where`` it may
                be left out only where the engine has one.
            dry_run: count them, and remove nothing.

        Raises:
            EngineStateError: ``finished_before`` is no such moment, or no workflow is meant.
            QueryError: the predicate can't be executed.
            CommitError: DuckDB lacks memory for so many at once; nothing of that workflow was
                removed, and the store is to be opened again before fewer are.
        """
        before = finished_by(finished_before, self._clock.now())
        one = where is not None or workflow is not None
        chosen = [self._workflows.only(workflow)] if one else self._workflows.all
        options = PruneOptions(before=before, where=where, dry_run=dry_run)
        with CtrlC():
            pruned = self._store.prune([each.name for each in chosen], options)
        # Whoever waits for one of them is told that it isn't there any more.
        self._waiting.notify(None)
        return pruned

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
