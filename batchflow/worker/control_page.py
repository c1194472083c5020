"""A page of memory shared by a worker and its coordinator: the call under way, and the stop."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from typing import BinaryIO

_STOP, _CHUNK, _ROW, _ROWS, _DEADLINE = range(5)
_NANOSECONDS = 1_000_000_000


class ControlPage:
    """The shared cells of one worker; each has exactly one writer.

    The coordinator writes ``stop``. The worker writes the rest: the chunk that it executes, the
    first row of the call under way (-1: none), the number of its rows, and its deadline on the
    system-wide monotonic clock.
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
        """Request that the worker returns the runs it hasn't started, or withdraw the request."""
        self._cells[_STOP] = int(stop)

    @property
    def executing(self) -> int | None:
        """The id of the chunk that is executed; ``None`` between chunks."""
        number = self._cells[_CHUNK]
        return number - 1 if number else None

    @property
    def rows(self) -> range | None:
        """The rows of the call under way; ``None`` if there is none or the rows are unknown."""
        row = self._cells[_ROW]
        return range(row, row + self._cells[_ROWS]) if row >= 0 else None

    @property
    def seconds_to_deadline(self) -> float | None:
        """The seconds left for the call under way, negative if overdue; ``None``: no limit."""
        deadline = self._cells[_DEADLINE]
        return (deadline - time.monotonic_ns()) / _NANOSECONDS if deadline else None

    # The worker's side.

    def stopping(self) -> bool:
        """Return whether the coordinator requested a stop."""
        return bool(self._cells[_STOP])

    def begin(self, chunk_id: int) -> None:
        """Record that a chunk is executed from now on."""
        self._cells[_ROW] = -1
        self._cells[_DEADLINE] = 0
        self._cells[_CHUNK] = chunk_id + 1

    def end(self) -> None:
        """Record that no chunk is executed."""
        self._cells[_CHUNK] = 0
        self._cells[_DEADLINE] = 0

    def enter(self, row: int, deadline: float | None, rows: int = 1) -> None:
        """Record a call for ``rows`` rows from ``row`` on, and its ``deadline`` in seconds."""
        self._cells[_ROWS] = rows
        self._cells[_DEADLINE] = int(deadline * _NANOSECONDS) if deadline is not None else 0
        self._cells[_ROW] = row

    def leave(self) -> None:
        """Record that the call has returned."""
        self._cells[_DEADLINE] = 0
        self._cells[_ROW] = -1


def _do_nothing(_error: BaseException) -> None:
    """Do nothing: the worker has no memory limit."""
