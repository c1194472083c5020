"""The engine's state of a run, and the changes of it that are allowed.

The user's state of a run is its status. Neither is ever called just "state".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, assert_never

import numpy as np

from batchflow.definition.named import NamedEnum

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RunState(NamedEnum, enum.IntEnum):
    """The engine's state of a run. The store keeps the names, in this order."""

    INITIATED = 0
    """The run was triggered, and no step has moved it yet."""
    RUNNING = 1
    """At least one step has moved the run, and more steps are to come."""
    PAUSED = 2
    """The run is stopped until it is resumed or cancelled."""
    CANCELLED = 3
    """The run was given up before it reached a terminal status."""
    COMPLETED = 4
    """The run reached a terminal status."""
    REQUESTED_DATA_DELETED = 5
    """The run's object is to be erased."""
    DATA_DELETED = 6
    """The run's object was erased."""

    @property
    def finished(self) -> bool:
        """Return whether no step will move the run again, unless it is retried."""
        match self:
            case RunState.INITIATED | RunState.RUNNING | RunState.PAUSED:
                return False
            case RunState.CANCELLED | RunState.COMPLETED:
                return True
            case RunState.REQUESTED_DATA_DELETED | RunState.DATA_DELETED:
                return True
            case _:
                assert_never(self)

    @property
    def stopped(self) -> bool:
        """Return whether the run was stopped, for now or for good, before its end."""
        match self:
            case RunState.INITIATED | RunState.RUNNING | RunState.COMPLETED:
                return False
            case RunState.PAUSED | RunState.CANCELLED:
                return True
            case RunState.REQUESTED_DATA_DELETED | RunState.DATA_DELETED:
                return True
            case _:
                assert_never(self)

    @property
    def runnable(self) -> bool:
        """Return whether the run may be given to a step now."""
        return not self.finished and not self.stopped

    def may_become(self, to: RunState) -> bool:
        """Return whether the table of allowed changes has this one."""
        return bool(ALLOWED[self, to])


RUNNABLE: Final = tuple(state for state in RunState if state.runnable)

_CHANGES: Final[Mapping[RunState, tuple[RunState, ...]]] = {
    # A million loaded runs stay INITIATED until their first step, and a wrong load must be
    # cancellable. A first step that leads to a terminal status completes its run at once.
    RunState.INITIATED: (
        RunState.RUNNING,
        RunState.COMPLETED,
        RunState.PAUSED,
        RunState.CANCELLED,
    ),
    RunState.RUNNING: (RunState.COMPLETED, RunState.PAUSED, RunState.CANCELLED),
    RunState.PAUSED: (RunState.RUNNING, RunState.CANCELLED),
    # Only `retry` puts finished runs back.
    RunState.CANCELLED: (RunState.RUNNING, RunState.REQUESTED_DATA_DELETED),
    RunState.COMPLETED: (RunState.RUNNING, RunState.REQUESTED_DATA_DELETED),
    RunState.REQUESTED_DATA_DELETED: (RunState.DATA_DELETED,),
    # Erasing may be requested again, because a later write may have brought data back.
    RunState.DATA_DELETED: (RunState.REQUESTED_DATA_DELETED,),
}


def _matrix(changes: Mapping[RunState, tuple[RunState, ...]]) -> NDArray[np.bool_]:
    allowed = np.zeros((len(RunState), len(RunState)), dtype=np.bool_)
    for source, targets in changes.items():
        allowed[source, list(targets)] = True
    allowed.setflags(write=False)
    return allowed


ALLOWED: Final[NDArray[np.bool_]] = _matrix(_CHANGES)
"""Indexed [from, to]. One look-up with two arrays of run states checks a whole chunk."""


def sources_of(to: RunState) -> tuple[RunState, ...]:
    """Return the run states from which a run may become `to`, in their order."""
    return tuple(source for source in RunState if ALLOWED[source, to])
