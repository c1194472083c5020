"""Execute chunks in the engine's own thread; the reference for all other executors."""

from __future__ import annotations

import os
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from batchflow.executor.protocol import CallUnderWay
from batchflow.worker.control import NO_ROW
from batchflow.worker.execution import Execution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchflow.chunk import Chunk, ChunkResult
    from batchflow.executor.context import ExecutorContext
    from batchflow.executor.protocol import LostChunk


class InlineControl:
    """Reports a requested stop to the steps, and the call under way to other threads."""

    def __init__(self, *, stop: bool = False) -> None:
        self.stop = stop
        self.interrupted = False
        self.current_row = [NO_ROW]
        self.rows = 1
        self.code = 0

    def stopping(self) -> bool:
        """Return whether a stop was requested."""
        return self.stop

    def begin_step(self, code: int) -> None:
        """Record the status whose step is called from now on."""
        self.code = code

    def enter(self, row: int, _deadline: float | None, rows: int = 1) -> None:
        """Record a call, or raise KeyboardInterrupt instead after an interrupted one."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.current_row[0], self.rows = row, rows

    def leave(self) -> None:
        """Record that no call is under way."""
        self.current_row[0] = NO_ROW

    def raised(self, error: BaseException) -> None:
        """Raise the error on if the call was interrupted; the user's memory isn't limited here."""
        if self.interrupted:
            raise error


class InlineExecutor:
    """Executes one chunk at a time, in the calling thread."""

    workers = 1
    expects_workers = False

    def __init__(self, context: ExecutorContext) -> None:
        self._context = context
        self._control = InlineControl()
        self._execution: Execution | None = None
        self._done: list[ChunkResult] = []
        # Unlike an event, it accepts a put from a signal handler that interrupts its reader.
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._executing = False
        self._chunk_id = -1

    @property
    def slots(self) -> int:
        """One, until the result is collected."""
        return 0 if self._done else 1

    suspect_slots = slots

    def start(self) -> None:
        """Get ready to execute."""
        if self._execution is None:
            self._execution = Execution(
                self._context.workflows, self._control, log_values=self._context.log_values
            )

    def submit(self, chunk: Chunk, *, suspect: bool = False) -> None:  # noqa: ARG002 - no worker to share
        """Execute the chunk now."""
        self.start()
        assert self._execution is not None
        self._executing, self._chunk_id = True, chunk.chunk_id
        try:
            result = self._execution.execute(chunk)
        except BaseException as error:
            # The interrupted call may have turned it into another exception.
            if self._control.interrupted:
                raise KeyboardInterrupt from error
            raise
        finally:
            self._executing = False
            self._control.leave()
        if self._control.interrupted:
            # The interrupted call has caught it.
            raise KeyboardInterrupt
        self._done.append(result)

    def completed(self, timeout_seconds: float | None) -> Sequence[ChunkResult | LostChunk]:
        """Return the results; wait for `wake` if there are none."""
        if not self._done:
            self._await_wake(timeout_seconds)
        done, self._done = self._done, []
        return done

    def wake(self) -> None:
        """Make a waiting `completed` return."""
        self._wakes.put(None)

    def request_stop(self, *, stop: bool) -> None:
        """Request that steps return the runs they haven't started, or withdraw the request."""
        self._control.stop = stop

    def interrupt(self) -> None:
        """Break into the step that is executed here, from a signal handler in its thread."""
        if not self._executing:
            return
        self._control.interrupted = True
        if self._execution is None or not self._execution.interrupt():
            raise KeyboardInterrupt

    def calls(self) -> Sequence[CallUnderWay]:
        """Return the call under way; callable from any thread."""
        row = self._control.current_row[0]
        if row < 0:
            return ()
        rows = range(row, row + self._control.rows)
        return (CallUnderWay(self._chunk_id, rows, os.getpid(), self._control.code),)

    def request_surrender(self) -> None:
        """Do nothing: each call returns before `submit` does."""

    def abandon(self) -> None:
        """Drop the results, and close the resources."""
        self._done = []
        if self._execution is None:
            return
        # A resource that hangs when it is closed can be interrupted as well.
        self._executing = True
        try:
            self._execution.close()
        finally:
            self._executing, self._execution = False, None
            # A thread that an interrupt left behind keeps the control that begins no other call.
            self._control = InlineControl(stop=self._control.stop)

    close = abandon

    def _await_wake(self, timeout_seconds: float | None) -> None:
        try:
            self._wakes.get(timeout=timeout_seconds)
            while True:
                self._wakes.get_nowait()
        except Empty:
            return
