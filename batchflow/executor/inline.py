"""Executes chunks in the coordinator's own thread: the reference for all others."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from batchflow.worker.control import NO_ROW
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
        self.interrupted = False
        self.current_row = [NO_ROW]

    def stopping(self) -> bool:
        """Tell whether a stop was requested."""
        return self.stop

    def enter(self, _row: int, _deadline: float | None, _rows: int = 1) -> None:
        """Let no further call begin where somebody broke into the last one."""
        if self.interrupted:
            raise KeyboardInterrupt

    def leave(self) -> None:
        """Nothing watches an inline call."""

    def out_of_memory(self, _error: BaseException) -> None:
        """This process is the user's own: its memory isn't limited here."""


class InlineExecutor:
    """One chunk at a time, without any process."""

    workers = 1
    expects_workers = False

    def __init__(self, workflows: Mapping[str, AnyWorkflow], *, log_values: bool = False) -> None:
        self._workflows = workflows
        self._log_values = log_values
        self._control = InlineControl()
        self._execution: Execution | None = None
        self._done: list[ChunkResult] = []
        # Unlike an event, it may be put into by a signal handler that interrupts its reader.
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._executing = False

    @property
    def slots(self) -> int:
        """One, until its result was collected."""
        return 0 if self._done else 1

    suspect_slots = slots

    def start(self) -> None:
        """Get ready to execute."""
        if self._execution is None:
            self._execution = Execution(self._workflows, self._control, log_values=self._log_values)

    def submit(self, chunk: Chunk, *, suspect: bool = False) -> None:  # noqa: ARG002 - no worker to share
        """Execute the chunk now."""
        self.start()
        assert self._execution is not None
        self._executing = True
        try:
            result = self._execution.execute(chunk)
        finally:
            self._executing = False
        if self._control.interrupted:
            # It was taken for an exception of the step's own; so what became of the runs is void.
            self._control.interrupted = False
            raise KeyboardInterrupt
        self._done.append(result)

    def completed(self, timeout_seconds: float | None) -> Sequence[ChunkResult | LostChunk]:
        """Hand over what was executed; wait for ``wake`` where there is nothing."""
        if not self._done:
            self._await_wake(timeout_seconds)
        done, self._done = self._done, []
        return done

    def wake(self) -> None:
        """Make a waiting ``completed`` return."""
        self._wakes.put(None)

    def request_stop(self, *, stop: bool) -> None:
        """Ask the steps to give back what they haven't started, or take the request back."""
        self._control.stop = stop

    def interrupt(self) -> None:
        """Break into the step that is executed here, from a signal handler in its thread."""
        if self._executing:
            self._control.interrupted = True
            raise KeyboardInterrupt

    def abandon(self) -> None:
        """Drop what was executed, and close the resources."""
        self._done, execution, self._execution = [], self._execution, None
        if execution is not None:
            # Whoever doesn't let itself be closed may be broken into as well.
            self._executing = True
            try:
                execution.close()
            finally:
                self._executing = self._control.interrupted = False

    close = abandon

    def _await_wake(self, timeout_seconds: float | None) -> None:
        try:
            self._wakes.get(timeout=timeout_seconds)
            while True:
                self._wakes.get_nowait()
        except Empty:
            return
