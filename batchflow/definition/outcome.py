"""The outcome of one execution of a step for a run."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, assert_never

import numpy as np

from batchflow.definition.named import NamedEnum

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Outcome(NamedEnum, enum.IntEnum):
    """The result of one run in one chunk.

    The numbers are sent between processes and are part of no file. The store keeps the names.
    """

    ADVANCED = 0
    """The run moves to the status that the step returned. The step's changes are stored."""
    REPEATED = 1
    """The run stays at its status and is queued behind the others. The changes are stored."""
    SKIPPED = 2
    """The run stays as it was, and isn't executed again in this drain."""
    FAILED = 3
    """The step raised, or its answer isn't allowed. The run waits for its next attempt."""
    PAUSED = 4
    """The step paused the run. It stays at its status until it is resumed."""
    CANCELLED = 5
    """The step cancelled the run. It stays at its status for good."""
    RETURNED = 6
    """The run wasn't executed, because the worker was asked to stop. It stays as it was."""

    @property
    def keeps_changes(self) -> bool:
        """Return whether the step's changes to the object are stored."""
        match self:
            case Outcome.ADVANCED | Outcome.REPEATED:
                return True
            case Outcome.FAILED | Outcome.PAUSED | Outcome.CANCELLED:
                return False
            case Outcome.SKIPPED | Outcome.RETURNED:
                return False
            case _:
                assert_never(self)

    @property
    def recorded(self) -> bool:
        """Return whether a commit stores the outcome and the log of transitions records it."""
        match self:
            case Outcome.ADVANCED | Outcome.REPEATED:
                return True
            case Outcome.FAILED | Outcome.PAUSED | Outcome.CANCELLED:
                return True
            case Outcome.SKIPPED | Outcome.RETURNED:
                return False
            case _:
                assert_never(self)

    @property
    def method(self) -> str | None:
        """Return the method of `Run` and `Batch` that chooses the outcome, if there is one."""
        match self:
            case Outcome.REPEATED:
                return "repeat"
            case Outcome.SKIPPED:
                return "skip"
            case Outcome.PAUSED:
                return "pause"
            case Outcome.CANCELLED:
                return "cancel"
            case Outcome.ADVANCED | Outcome.FAILED | Outcome.RETURNED:
                return None
            case _:
                assert_never(self)


def _by_code(predicate: Callable[[Outcome], bool]) -> NDArray[np.bool_]:
    mask = np.array([predicate(outcome) for outcome in Outcome], dtype=np.bool_)
    mask.setflags(write=False)
    return mask


KEEPS_CHANGES: Final[NDArray[np.bool_]] = _by_code(lambda outcome: outcome.keeps_changes)
"""`Outcome.keeps_changes` by code, to look up the outcomes of a chunk."""

RECORDED: Final[NDArray[np.bool_]] = _by_code(lambda outcome: outcome.recorded)
"""`Outcome.recorded` by code, to look up the outcomes of a chunk."""
