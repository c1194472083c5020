"""The engine's own life of a run, and which moves of it are allowed.

The user's life of a run is its status; neither is ever called just "state".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RunState(enum.IntEnum):
    """Name where a run is in the engine's life; the store keeps the names, in this order."""

    INITIATED = 0
    """Triggered; no step has moved it yet."""
    RUNNING = 1
    """At least one step has moved it, and others are to come."""
    PAUSED = 2
    """Held until somebody resumes or cancels it."""
    CANCELLED = 3
    """Given up before it reached a terminal status."""
    COMPLETED = 4
    """It reached a terminal status."""
    REQUESTED_DATA_DELETED = 5
    """Its object is to be erased."""
    DATA_DELETED = 6
    """Its object was erased."""

    @property
    def finished(self) -> bool:
        """Tell whether no step will ever move it again."""
        return self >= RunState.CANCELLED

    @property
    def stopped(self) -> bool:
        """Tell whether it was kept from going on, for now or for good, before its end."""
        return self in _STOPPED

    @property
    def runnable(self) -> bool:
        """Tell whether a step may be given it now."""
        return self in RUNNABLE

    def may_become(self, to: RunState) -> bool:
        """Tell whether the table of allowed moves holds this one."""
        return bool(ALLOWED[self, to])


RUNNABLE: Final = (RunState.INITIATED, RunState.RUNNING)

_STOPPED: Final = (
    RunState.PAUSED,
    RunState.CANCELLED,
    RunState.REQUESTED_DATA_DELETED,
    RunState.DATA_DELETED,
)

_MOVES: Final[Mapping[RunState, tuple[RunState, ...]]] = {
    # A million loaded runs rest at INITIATED, and a wrong load must be cancellable.
    RunState.INITIATED: (RunState.RUNNING, RunState.PAUSED, RunState.CANCELLED),
    RunState.RUNNING: (RunState.COMPLETED, RunState.PAUSED, RunState.CANCELLED),
    RunState.PAUSED: (RunState.RUNNING, RunState.CANCELLED),
    RunState.CANCELLED: (RunState.REQUESTED_DATA_DELETED,),
    RunState.COMPLETED: (RunState.REQUESTED_DATA_DELETED,),
    RunState.REQUESTED_DATA_DELETED: (RunState.DATA_DELETED,),
    # Erasing may be asked for again: a later write may have brought data back.
    RunState.DATA_DELETED: (RunState.REQUESTED_DATA_DELETED,),
}


def _matrix(moves: Mapping[RunState, tuple[RunState, ...]]) -> NDArray[np.bool_]:
    allowed = np.zeros((len(RunState), len(RunState)), dtype=np.bool_)
    for source, targets in moves.items():
        allowed[source, list(targets)] = True
    allowed.setflags(write=False)
    return allowed


ALLOWED: Final[NDArray[np.bool_]] = _matrix(_MOVES)
"""Indexed [from, to]; one look-up with two arrays of run states checks a whole chunk."""


def sources_of(to: RunState) -> tuple[RunState, ...]:
    """Return the run states from which a run may become `to`, in their order."""
    return tuple(source for source in RunState if ALLOWED[source, to])
