"""The link between a running step and its supervisor, the pool or the inline executor."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Protocol

NO_ROW = -1


class Control(Protocol):
    """Link a running chunk with its supervisor.

    `enter` is called before each call of the user's function. ``row`` is the first of the ``rows``
    runs that the call is for, or that are called at the same time (async and threaded steps); it
    is `NO_ROW` if `current_row` is set later. ``deadline`` is on the clock of ``time.monotonic()``,
    None if the step has no time limit. `enter` always replaces what was entered before it. `leave`
    is called after the chunk's last call, possibly more than once.
    """

    @property
    def current_row(self) -> MutableSequence[int] | memoryview:
        """Return the cell whose only element is the row of the present call.

        A step without a time limit writes to the cell instead of calling `enter` for each run.
        """
        ...

    def stopping(self) -> bool:
        """Return whether the engine was asked to stop."""
        ...

    def begin_step(self, code: int) -> None:
        """Record that the step of a status is called from now on."""
        ...

    def enter(self, row: int, deadline: float | None, rows: int = 1) -> None:
        """Record that the user's function is about to be called."""
        ...

    def leave(self) -> None:
        """Record that no user code is running."""
        ...

    def raised(self, error: BaseException) -> None:
        """Record that a call raised; doesn't return if no other call may follow.

        That is so if the memory that the call ran out of wasn't released, and after an interrupt.
        """
        ...


class NullControl:
    """Supervise nothing: never stop, and record nothing."""

    def __init__(self) -> None:
        self.current_row: MutableSequence[int] = [NO_ROW]

    def stopping(self) -> bool:
        """Return False."""
        return False

    def begin_step(self, code: int) -> None:
        """Do nothing."""

    def enter(self, row: int, deadline: float | None, rows: int = 1) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""

    def raised(self, error: BaseException) -> None:
        """Do nothing."""
