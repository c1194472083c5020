"""A page of memory shared by a worker and its coordinator: the call under way, and the stop."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from os import _exit, write
from typing import BinaryIO, Final, NoReturn

from batchflow.worker.transport import fix_size

_STOP, _CHUNK, _SENT, _ROW, _ROWS, _DEADLINE, _TEXT_BYTES, _CODE = range(8)
_CELLS: Final = 32
_TEXT_AT: Final = _CELLS * 8
_MOST_TEXT_BYTES: Final = 1_000
_NANOSECONDS = 1_000_000_000
_NO_CALL_YET: Final = -2
_STDERR: Final = 2


class ControlPage:
    """The shared cells of one worker; each has exactly one writer.

    The coordinator writes ``stop``. The worker writes the rest: the chunk that it executes, which
    stays there until the next one begins; the last chunk whose result it has sent; the code of the
    status whose step it calls; the first row of the call under way (-1: none or unknown, -2: none
    has begun), the number of its rows, and its deadline on the system-wide monotonic clock; and the
    reason why it can't go on, as text.

    The coordinator believes none of these numbers without checking them.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Map the page; ``file`` may be closed afterwards."""
        file.truncate(mmap.PAGESIZE)
        fix_size(file)
        self._memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self._cells = memoryview(self._memory)[:_TEXT_AT].cast("q")
        self.current_row = self._cells[_ROW : _ROW + 1]
        self.raised: Callable[[BaseException], None] = _do_nothing

    # The coordinator's side.

    def request_stop(self, *, stop: bool) -> None:
        """Request that the worker returns the runs it hasn't started, or withdraw the request."""
        self._cells[_STOP] = int(stop)

    @property
    def executing(self) -> int | None:
        """The id of the chunk that was begun last; ``None`` if there was none."""
        number = self._cells[_CHUNK]
        return number - 1 if number else None

    @property
    def between_chunks(self) -> bool:
        """Whether the worker has sent the result of the chunk that it began last."""
        return bool(self._cells[_SENT] == self._cells[_CHUNK])

    @property
    def called(self) -> bool:
        """Whether a call has begun since the chunk was begun."""
        return self._cells[_ROW] != _NO_CALL_YET

    @property
    def rows(self) -> range | None:
        """The rows of the call under way; ``None`` if there is none or the rows are unknown."""
        row, rows = self._cells[_ROW], self._cells[_ROWS]
        return range(row, row + rows) if row >= 0 and rows > 0 else None

    @property
    def code(self) -> int:
        """The code of the status whose step was called last, or is about to be."""
        return int(self._cells[_CODE])

    @property
    def seconds_to_deadline(self) -> float | None:
        """The seconds left for the call under way, negative if overdue; ``None``: no limit."""
        deadline = self._cells[_DEADLINE]
        return (deadline - time.monotonic_ns()) / _NANOSECONDS if deadline else None

    @property
    def failure(self) -> str:
        """The reason that the worker gave for its end, if it could."""
        size = min(max(0, self._cells[_TEXT_BYTES]), _MOST_TEXT_BYTES)
        text = self._memory[_TEXT_AT : _TEXT_AT + size].decode("utf-8", "replace")
        return "".join(filter(str.isprintable, text))

    # The worker's side.

    def stopping(self) -> bool:
        """Return whether the coordinator requested a stop."""
        return bool(self._cells[_STOP])

    def begin(self, chunk_id: int) -> None:
        """Record that a chunk is executed from now on."""
        self._cells[_ROW] = _NO_CALL_YET
        self._cells[_DEADLINE] = 0
        self._cells[_CHUNK] = chunk_id + 1

    def sent(self, chunk_id: int) -> None:
        """Record that the result of the chunk was sent."""
        self._cells[_SENT] = chunk_id + 1

    def begin_step(self, code: int) -> None:
        """Record that the step of a status is called from now on."""
        self._cells[_CODE] = code

    def enter(self, row: int, deadline: float | None, rows: int = 1) -> None:
        """Record a call for ``rows`` rows from ``row`` on, and its ``deadline`` in seconds."""
        self._cells[_ROWS] = rows
        self._cells[_DEADLINE] = int(deadline * _NANOSECONDS) if deadline is not None else 0
        self._cells[_ROW] = row

    def leave(self) -> None:
        """Record that the call has returned."""
        self._cells[_DEADLINE] = 0
        self._cells[_ROW] = -1

    def fail(self, reason: str) -> None:
        """Record why the worker can't go on."""
        text = reason.encode("utf-8", "replace")[:_MOST_TEXT_BYTES]
        self._memory[_TEXT_AT : _TEXT_AT + len(text)] = text
        self._cells[_TEXT_BYTES] = len(text)

    def disown(self) -> None:
        """Leave the page to the worker, in a process that a step has forked from it.

        If the step returns in that process too, it ends there, at the next thing it would record.
        """
        self.current_row.release()
        for name in ("begin", "sent", "begin_step", "enter", "leave", "fail"):
            setattr(self, name, _end_copy)


def _do_nothing(_error: BaseException) -> None:
    """Do nothing: the worker has no memory limit."""


def _end_copy(*_: object) -> NoReturn:
    write(_STDERR, b"batchflow: A step returned in a process that it forked; this process ends.\n")
    _exit(1)
