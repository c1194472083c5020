"""The time slice of a chunk, which ends early if a stop is requested."""

from __future__ import annotations

import time

from batchflow.worker.control import Control


class Slice:
    """The time that a chunk may take, counted from the construction."""

    def __init__(self, control: Control, slice_seconds: float | None) -> None:
        self._control = control
        self.started = time.monotonic()
        self._end = float("inf") if slice_seconds is None else self.started + slice_seconds

    @property
    def seconds(self) -> float:
        """The seconds so far."""
        return time.monotonic() - self.started

    def is_over(self, now: float) -> bool:
        """Return whether no further call may begin at `now`, on the monotonic clock."""
        return now >= self._end or self._control.stopping()
