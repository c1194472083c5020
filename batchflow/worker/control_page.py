"""A page of memory that a worker shares with its coordinator: what it does, whether to stop."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from typing import BinaryIO

_STOP, _CHUNK, _ROW, _ROWS, _DEADLINE = range(5)
_NANOSECONDS = 1_000_000_000


class ControlPage:
    """The shared cells of one worker; each has exactly one writer.

    The coordinator writes ``stop``. The worker writes the rest: the chunk it executes, the first
    row of it that the step was called for (-1: none) and how many, and the deadline of that call
    on the system-wide monotonic clock.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Map the page; ``file`` may be closed afterwards."""
        file.truncate(mmap.PAGESIZE)
        self._memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self._cells = memoryview(self._memory).cast("q")
        self.current_row = self._cells[_ROW : _ROW + 1]
        self.out_of_memory: Callable[[BaseException], None] = _do_nothing

    # The coordinator's side.

    def request_stop(self, *, stop: bool) -> None:
        """Ask the worker to give back what it has not started, or take the request back."""
        self._cells[_STOP] = int(stop)

    @property
    def executing(self) -> int | None:
        """The chunk whose step is being called; ``None`` between chunks."""
        number = self._cells[_CHUNK]
        return number - 1 if number else None

    @property
    def rows(self) -> range | None:
        """The rows that the step is being called for; ``None`` if it isn't, or that is unknown."""
        row = self._cells[_ROW]
        return range(row, row + self._cells[_ROWS]) if row >= 0 else None

    @property
    def seconds_to_deadline(self) -> float | None:
        """Seconds that the present call has left, below 0 if overdue; ``None`` without a limit."""
        deadline = self._cells[_DEADLINE]
        return (deadline - time.monotonic_ns()) / _NANOSECONDS if deadline else None

    # The worker's side.

    def stopping(self) -> bool:
        """Tell whether the coordinator asked to stop."""
        return bool(self._cells[_STOP])

    def begin(self, chunk_id: int) -> None:
        """Say which chunk is executed from now on."""
        self._cells[_ROW] = -1
        self._cells[_DEADLINE] = 0
        self._cells[_CHUNK] = chunk_id + 1

    def end(self) -> None:
        """Say that no user code is running."""
        self._cells[_CHUNK] = 0
        self._cells[_DEADLINE] = 0

    def enter(self, row: int, deadline: float | None, rows: int = 1) -> None:
        """Say that it is called for ``rows`` from ``row`` on until ``deadline``, in seconds."""
        self._cells[_ROWS] = rows
        self._cells[_DEADLINE] = int(deadline * _NANOSECONDS) if deadline is not None else 0
        self._cells[_ROW] = row

    def leave(self) -> None:
        """Say that the call has returned."""
        self._cells[_DEADLINE] = 0
        self._cells[_ROW] = -1


def _do_nothing(_error: BaseException) -> None:
    """Stand for what is done without a limit on memory."""
