"""Ending the coordinator's process at a moment of one's choice."""

from __future__ import annotations

import itertools
import os
import signal
import threading

from batchflow import crash_point
from batchflow.crash_point import CRASH_POINTS, CrashPoint
from batchflow.errors import EngineStateError


def arm_crash(point: CrashPoint, *, nth: int = 1, delay_seconds: float | None = None) -> None:
    """Have this process killed (SIGKILL) when its engine comes to a point of its work.

    For processes that are made to die: a child that a test starts, opens an engine, and runs it.
    Arming takes the place of what was armed before.

    Args:
        point: one of ``batchflow.crash_point.CRASH_POINTS``, where what they mean is said.
        nth: at which time that the point is reached, from 1.
        delay_seconds: how long after it, from a thread, so that the process may be within native
            code by then, such as a COMMIT or a checkpoint; None kills at the point itself.

    Raises:
        EngineStateError: there is no such point.
    """
    if point not in CRASH_POINTS:
        raise EngineStateError(
            f"there is no crash point {point!r}; give one of {', '.join(CRASH_POINTS)}"
        )
    # Counted by one call that no other thread can come between.
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
