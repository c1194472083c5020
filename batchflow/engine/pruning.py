"""Removing finished runs from a store without its workflows' definitions."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from batchflow.clock import SystemClock
from batchflow.engine.arguments import finished_by
from batchflow.engine.config import EngineConfig
from batchflow.engine.signals import CtrlC
from batchflow.store import PruneOptions, Store

if TYPE_CHECKING:
    import os
    from datetime import datetime, timedelta

    from batchflow.store import Pruned


def prune_store(
    path: str | os.PathLike[str],
    finished_before: timedelta | datetime,
    where: str | None = None,
    *,
    workflow: str | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Open the store at `path`, and remove finished runs as `Engine.prune` does.

    Without `workflow`, those of all workflows that the store has.
    """
    clock, memory_limit = SystemClock(), EngineConfig().memory_limit
    before = finished_by(finished_before, clock.now())
    options = PruneOptions(before=before, where=where, dry_run=dry_run)
    store = Store.open(path, (), clock=clock.now, memory_limit=memory_limit)
    with closing(store), CtrlC():
        return store.prune(None if workflow is None else [workflow], options)
