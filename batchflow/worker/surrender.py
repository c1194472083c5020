"""The end of a worker whose step doesn't return in time: it sends what is done already."""

from __future__ import annotations

import os
import socket
import threading
from functools import partial

from batchflow.chunk.serialization import write_result
from batchflow.worker.execution import Execution
from batchflow.worker.transport import MessageKind, send


class Surrender:
    """Sends the result of a chunk from another thread than the one that a step doesn't leave.

    Attributes:
        sending: Is held while a result is sent, so that each chunk has one.
    """

    def __init__(self, channel: socket.socket) -> None:
        self.sending = threading.Lock()
        self._channel = channel
        self._execution: Execution | None = None

    def watch(self, execution: Execution) -> None:
        """Take results from there."""
        self._execution = execution

    def __call__(self) -> None:
        """Send what is done of the chunk under way, and end the process.

        If no call is under way, or one has just returned, the chunk's own result follows.
        """
        try:
            result = None if self._execution is None else self._execution.surrendered()
        except Exception:
            # The step changes what was to be read. The coordinator then fails the calls itself.
            return
        if result is None:
            return
        with self.sending:
            send(self._channel, MessageKind.RESULT, result.chunk_id, partial(write_result, result))
            os._exit(0)
