"""Notices about runs that other threads triggered or changed."""

from __future__ import annotations

import contextlib
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchflow.coordinator.queue import RunQueue


class Inbox:
    """Notices for the coordinator's thread; any thread may add one."""

    def __init__(self) -> None:
        self._notices: SimpleQueue[tuple[str, tuple[int, int, int] | None]] = SimpleQueue()

    def add_loaded(self, workflow: str, code: int, first_seq: int, last_seq: int) -> None:
        """Add a notice of new runs with consecutive seqs at one status."""
        self._notices.put((workflow, (code, first_seq, last_seq)))

    def add_changed(self, workflow: str) -> None:
        """Add a notice that some runs changed, so that they must be counted again."""
        self._notices.put((workflow, None))

    def deliver(self, queues: Mapping[str, RunQueue]) -> None:
        """Pass all notices on to the queues of their workflows."""
        with contextlib.suppress(Empty):
            while True:
                workflow, loaded = self._notices.get_nowait()
                if loaded is None:
                    queues[workflow].record_change()
                else:
                    queues[workflow].record_load(*loaded)

    def clear(self) -> None:
        """Drop all notices, because the runs are about to be counted again."""
        with contextlib.suppress(Empty):
            while True:
                self._notices.get_nowait()
