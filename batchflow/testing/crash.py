"""End the coordinator's process at a chosen moment."""

from __future__ import annotations

import itertools
import os
import signal
import threading

from batchflow import crash_point
from batchflow.crash_point import CRASH_POINTS, CrashPoint
from batchflow.errors import EngineStateError


def arm_crash(point: CrashPoint, *, nth: int = 1, delay_seconds: float | None = None) -> None:
    """Kill this process (SIGKILL) when its engine reaches a point of its work.

    Use it in a child process that a test starts, which opens an engine and runs it. Each call
    replaces the one before.

    Args:
        point: One of ``batchflow.crash_point.CRASH_POINTS``, which describes them.
        nth: How often the point is reached before the process is killed, from 1.
        delay_seconds: How long after the point a thread kills the process, which may then be
            within native code, such as a COMMIT or a checkpoint; None kills at the point itself.

    Raises:
        EngineStateError: There is no such point.
    """
    if point not in CRASH_POINTS:
        raise EngineStateError(
            f"There is no crash point {point!r}; give one of {', '.join(CRASH_POINTS)}."
        )
    # A single call counts, so no other thread can come between.
    times = itertools.count(1)

    def when_reached(reached: CrashPoint) -> None:
        if reached == point and next(times) == nth:
            _kill_after(delay_seconds)

    crash_point.arm(when_reached)


def _kill_after(delay_seconds: float | None) -> None:
    if delay_seconds is None:
        _kill()
    else:
        timer = threading.Timer(delay_seconds, _kill)
        timer.daemon = True
        timer.start()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
