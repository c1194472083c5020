"""The parts of a coordinator that a drain uses and that outlive it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np

    from batchflow.clock import Clock
    from batchflow.coordinator.chunk_sizer import ChunkSizer
    from batchflow.coordinator.config import CoordinatorConfig
    from batchflow.coordinator.inbox import Inbox
    from batchflow.coordinator.stop import Stop
    from batchflow.coordinator.tally import Tally
    from batchflow.definition import AnyWorkflow
    from batchflow.executor.protocol import Executor
    from batchflow.store import Store


@dataclass(frozen=True, kw_only=True, eq=False)
class DrainContext:
    """The parts of a coordinator that a drain uses and that outlive it.

    Attributes:
        random: The source of the jitter of waits.
        chunk_ids: The ids of chunks, each used once in the executor's life.
        listeners: Called with the tally when a drain begins and after each commit.
    """

    store: Store
    executor: Executor
    workflows: Sequence[AnyWorkflow]
    clock: Clock
    config: CoordinatorConfig
    stop: Stop
    inbox: Inbox
    sizer: ChunkSizer
    random: np.random.Generator
    chunk_ids: Iterator[int]
    listeners: Sequence[Callable[[Tally], None]]
