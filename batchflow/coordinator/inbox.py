"""Notices about runs that other threads triggered or changed."""

from __future__ import annotations

import contextlib
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from batchflow.coordinator.queue import RunQueue


class Inbox:
    """Notices for the coordinator's thread; any thread may add one."""

    def __init__(self) -> None:
        self._notices: SimpleQueue[tuple[str, Callable[[RunQueue], None]]] = SimpleQueue()

    def add_loaded(self, workflow: str, code: int, first_seq: int, last_seq: int) -> None:
        """Add a notice of new runs with consecutive seqs at one status."""
        self._notices.put((workflow, lambda queue: queue.record_load(code, first_seq, last_seq)))

    def add_changed(self, workflow: str) -> None:
        """Add a notice that some runs changed, so that they must be counted again."""
        self._notices.put((workflow, lambda queue: queue.record_change()))

    def add_put_back(self, workflow: str, completed: pa.Table) -> None:
        """Add a notice that runs were put back: of completed ones, ``status``, ``updated_at``."""
        self._notices.put((workflow, lambda queue: queue.record_put_back(completed)))

    def deliver(self, queues: Mapping[str, RunQueue]) -> None:
        """Pass all notices on to the queues of their workflows."""
        with contextlib.suppress(Empty):
            while True:
                workflow, apply = self._notices.get_nowait()
                apply(queues[workflow])
