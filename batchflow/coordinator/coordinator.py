"""The coordinator: what outlives a drain, and the way for other threads to reach it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from batchflow.coordinator.chunk_sizer import ChunkSizer
from batchflow.coordinator.drain import Drain
from batchflow.coordinator.drain_context import DrainContext
from batchflow.coordinator.inbox import Inbox
from batchflow.coordinator.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from batchflow.clock import Clock
    from batchflow.coordinator.config import CoordinatorConfig
    from batchflow.coordinator.drain_options import DrainOptions
    from batchflow.coordinator.tally import Tally
    from batchflow.definition import AnyWorkflow
    from batchflow.executor.protocol import Executor
    from batchflow.store import Store


class Coordinator:
    """Moves the runs of some workflows from status to status, one drain at a time.

    Attributes:
        stop: Requests the end of a drain, from any thread.
        listeners: Called with the tally when a drain begins and after each commit.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        workflows: Sequence[AnyWorkflow],
        clock: Clock,
        config: CoordinatorConfig,
    ) -> None:
        self.stop = Stop(self._request_stop)
        self.listeners: list[Callable[[Tally], None]] = []
        self._executor = executor
        self._inbox = Inbox()
        self._context = DrainContext(
            store=store,
            executor=executor,
            workflows=tuple(workflows),
            clock=clock,
            config=config,
            stop=self.stop,
            inbox=self._inbox,
            sizer=ChunkSizer(),
            random=np.random.default_rng(config.seed),
            chunk_ids=itertools.count(),
            listeners=self.listeners,
        )

    def drain(self, options: DrainOptions) -> Tally:
        """Move runs until none is runnable, or as the options say; return what was done.

        Raises:
            StepCodeError: A worker can't load a step's code.
            ResourceError: A worker can't open a resource.
            EngineStateError: Runs wait for a worker, and the executor expects none.
            CommitError: Some results couldn't be stored, not even in small commits. Their runs are
                unchanged, and all other runs were executed.
            DiskFullError: The disk is full.
        """
        return Drain(self._context, options).run()

    def loaded(self, workflow: str, code: int, first_seq: int, last_seq: int) -> None:
        """Notify the coordinator of new runs; callable from any thread."""
        self._inbox.add_loaded(workflow, code, first_seq, last_seq)
        self._executor.wake()

    def changed(self, workflow: str) -> None:
        """Notify the coordinator that some runs changed; callable from any thread."""
        self._inbox.add_changed(workflow)
        self._executor.wake()

    def put_back(self, workflow: str, completed: pa.Table) -> None:
        """Notify the coordinator that some runs were put back; callable from any thread."""
        self._inbox.add_put_back(workflow, completed)
        self._executor.wake()

    def _request_stop(self) -> None:
        # At once and not in the next cycle, which an inline step holds up until it ends.
        self._executor.request_stop(stop=True)
        self._executor.wake()
