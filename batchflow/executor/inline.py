"""Executes chunks in the coordinator's own thread: the reference for all others."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from batchflow.worker.execution import Execution

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchflow.chunk import Chunk, ChunkResult
    from batchflow.definition import AnyWorkflow
    from batchflow.executor.protocol import LostChunk


class InlineControl:
    """Tells the steps whether to stop; calls aren't watched, since nobody could end them."""

    def __init__(self) -> None:
        self.stop = False

    def stopping(self) -> bool:
        """Tell whether a stop was requested."""
        return self.stop

    def enter(self, row: int, deadline: float | None) -> None:
        """Nothing watches an inline call."""

    def leave(self) -> None:
        """Nothing watches an inline call."""


class InlineExecutor:
    """One chunk at a time, without any process."""

    workers = 1

    def __init__(self, workflows: Mapping[str, AnyWorkflow]) -> None:
        self._workflows = workflows
        self._control = InlineControl()
        self._execution: Execution | None = None
        self._done: list[ChunkResult] = []
        self._woken = threading.Event()

    @property
    def slots(self) -> int:
        """One, until its result was collected."""
        return 0 if self._done else 1

    suspect_slots = slots

    def start(self) -> None:
        """Get ready to execute."""
        if self._execution is None:
            self._execution = Execution(self._workflows, self._control)

    def submit(self, chunk: Chunk, *, suspect: bool = False) -> None:  # noqa: ARG002 - no worker to share
        """Execute the chunk now."""
        self.start()
        assert self._execution is not None
        self._done.append(self._execution.execute(chunk))

    def completed(self, timeout_seconds: float | None) -> Sequence[ChunkResult | LostChunk]:
        """Hand over what was executed; wait for ``wake`` where there is nothing."""
        if not self._done:
            self._woken.wait(timeout_seconds)
        self._woken.clear()
        done, self._done = self._done, []
        return done

    def wake(self) -> None:
        """Make a waiting ``completed`` return."""
        self._woken.set()

    def request_stop(self, *, stop: bool) -> None:
        """Ask the steps to give back what they haven't started, or take the request back."""
        self._control.stop = stop

    def abandon(self) -> None:
        """Drop what was executed, and close the resources."""
        self._done = []
        if self._execution is not None:
            self._execution.close()
            self._execution = None

    close = abandon
