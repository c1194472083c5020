"""A store that is open without an engine, whose connection and commits a test can reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import batchflow as bf
from batchflow.clock import Clock, SystemClock
from batchflow.coordinator import Coordinator, DrainOptions, Tally
from batchflow.definition.workflow import Workflow
from batchflow.engine.catalog import EngineCatalog
from batchflow.engine.news import CommitNews
from batchflow.executor import ExecutorContext, ExecutorFactory
from batchflow.operation import Operations, Request, ResultT
from batchflow.store import Store
from batchflow.store.query.questions import Questions


class OpenStore(Operations, Questions):
    """The operations and questions of a store, and drains in this process."""

    def __init__(
        self, store: Store, *workflows: Workflow[Any, Any], clock: Clock | None = None
    ) -> None:
        self.store = store
        self.path = store.path
        self._by_name = {workflow.name: workflow for workflow in workflows}
        self._clock = clock or SystemClock()
        self._source = store.source
        self._catalog = EngineCatalog(store, self._by_name)
        self._news = CommitNews()

    @property
    def workflows(self) -> tuple[str, ...]:
        return tuple(self._by_name)

    def perform(self, request: Request[ResultT]) -> ResultT:
        return self.store.perform(request, self._clock.now())

    def drain(
        self,
        *,
        executor: ExecutorFactory | None = None,
        listeners: Sequence[Callable[[Tally], None]] = (),
        **options: Any,
    ) -> Tally:
        """Move runs as an engine does; by default in this process.

        Args:
            executor: What executes steps.
            listeners: They are called after each commit.
            options: Those of `DrainOptions`.
        """
        workflows = list(self._by_name.values())
        context = ExecutorContext(workflows=self._by_name)
        with closing((executor or bf.Inline()).open(context)) as opened:
            coordinator = Coordinator(self.store, opened, workflows, self._clock, bf.EngineConfig())
            coordinator.listeners += listeners
            self.store.listeners = [lambda change: coordinator.changed(change.workflow)]
            return coordinator.drain(DrainOptions(**options))


@contextmanager
def open_store(
    path: Path | str,
    *workflows: Workflow[Any, Any],
    clock: Clock | None = None,
    memory_limit: str | None = None,
) -> Iterator[OpenStore]:
    """Open a store with these workflows, or create it."""
    known = clock or SystemClock()
    store = Store.open(path, workflows, clock=known.now, memory_limit=memory_limit)
    with closing(store):
        yield OpenStore(store, *workflows, clock=known)
