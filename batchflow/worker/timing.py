"""When a chunk may go on: until it is asked to stop, or its slice of time is over."""

from __future__ import annotations

import time

from batchflow.worker.control import Control


class Slice:
    """The time that a chunk may take; counted from when this is made."""

    def __init__(self, control: Control, slice_seconds: float | None) -> None:
        self._control = control
        self.started = time.monotonic()
        self._end = float("inf") if slice_seconds is None else self.started + slice_seconds

    @property
    def seconds(self) -> float:
        """Count the seconds so far."""
        return time.monotonic() - self.started

    def is_over(self, now: float) -> bool:
        """Tell whether nothing more is to be begun at `now`, on the monotonic clock."""
        return now >= self._end or self._control.stopping()
