"""What a working step hears from, and tells to, whoever supervises it."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Protocol

NO_ROW = -1


class Control(Protocol):
    """Link a running chunk with its supervisor.

    `enter` is called before each call of the user's function: ``row`` is the first of the ``rows``
    runs that it is for, or that are called at the same time (async and threaded steps), `NO_ROW`
    where that is still to be said by `current_row`; ``deadline`` is on the clock of
    ``time.monotonic()``, None where the step has no time limit. `enter` always
    replaces what was entered before it. `leave` is called after the chunk's last call, also more
    than once.
    """

    @property
    def current_row(self) -> MutableSequence[int] | memoryview:
        """Return the cell whose only element is the row of the present call.

        For steps without a time limit: writing to it is all that `enter` does for them, without a
        call for each run.
        """
        ...

    def stopping(self) -> bool:
        """Tell whether the engine was asked to stop."""
        ...

    def enter(self, row: int, deadline: float | None, rows: int = 1) -> None:
        """Note that the user's function is about to be called."""
        ...

    def leave(self) -> None:
        """Note that no code of the user's is running."""
        ...

    def out_of_memory(self, error: BaseException) -> None:
        """Note that a call ended for want of memory; doesn't return where none was given back."""
        ...


class NullControl:
    """Supervise nothing: never stop, and note nothing."""

    def __init__(self) -> None:
        self.current_row: MutableSequence[int] = [NO_ROW]

    def stopping(self) -> bool:
        """Return False."""
        return False

    def enter(self, row: int, deadline: float | None, rows: int = 1) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""

    def out_of_memory(self, error: BaseException) -> None:
        """Do nothing."""
