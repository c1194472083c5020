"""What a step did to a run."""

from __future__ import annotations

import enum


class Outcome(enum.IntEnum):
    """Name what became of one run in one chunk.

    The numbers cross the process border and are part of no file: the store keeps names.
    """

    ADVANCED = 0
    """It moves to the status that the step answered with, and keeps what the step changed."""
    REPEATED = 1
    """It stays, keeps what the step changed, and queues behind the others."""
    SKIPPED = 2
    """It stays as it was, and isn't looked at again in this drain."""
    FAILED = 3
    """The step raised, or its answer wasn't allowed; the run waits for its next attempt."""
    PAUSED = 4
    """The step asked for somebody to look at it; it stays until it is resumed."""
    CANCELLED = 5
    """The step gave it up; it stays for good."""
    RETURNED = 6
    """It wasn't executed, as the worker was asked to stop; it stays as it was."""

    @property
    def keeps_changes(self) -> bool:
        """Tell whether what the step changed on the object is stored."""
        return self in (Outcome.ADVANCED, Outcome.REPEATED)
