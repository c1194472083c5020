"""Holding runs of a store that nobody has open, without its workflows' definitions."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from batchflow.clock import SystemClock
from batchflow.definition.reason import checked_reason
from batchflow.engine.config import EngineConfig
from batchflow.engine.signals import CtrlC
from batchflow.store import Store

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from uuid import UUID

    from batchflow.store import Moved


def hold_stored(
    path: str | os.PathLike[str],
    verb: str,
    workflow: str,
    *,
    where: str | None,
    run_ids: Sequence[UUID] | None,
    reason: str,
) -> Moved:
    """Open the store at `path`, and pause, resume or cancel runs as an engine does.

    Raises:
        StoreHeldError: somebody has it open after all.
        QueryError: there is no such workflow, or the predicate can't be executed.
        RunNotFoundError: there are no runs with some of the ids; nothing is moved then.
    """
    clock, memory_limit = SystemClock(), EngineConfig().memory_limit
    why = checked_reason(reason)
    store = Store.open(path, (), clock=clock.now, memory_limit=memory_limit)
    with closing(store), CtrlC():
        return store.hold(verb, workflow, where=where, run_ids=run_ids, reason=why, now=clock.now())
