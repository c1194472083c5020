"""The log records of a node on their way to the coordinator's process."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Final

from batchflow.worker.log_forwarding import encoded

# Ray's own records stay in Ray's log files.
_LEFT_OUT: Final = ("ray",)


class NodeLogs(logging.Handler):
    """Passes each record on as JSON; the records of workers have arrived here before.

    Args:
        post: Takes a record; called from any thread, and never waits.
    """

    def __init__(self, post: Callable[[bytes], None]) -> None:
        super().__init__()
        self._post_record = post

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record on."""
        if record.name.partition(".")[0] in _LEFT_OUT:
            return
        try:
            worker = getattr(record, "worker", None)
            self._post_record(
                encoded(record, worker if isinstance(worker, int) else os.getpid()).encode()
            )
        except Exception:
            self.handleError(record)
