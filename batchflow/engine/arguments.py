"""The arguments of a drain, checked once."""

from __future__ import annotations

from datetime import datetime

from batchflow.clock import Clock, SystemClock
from batchflow.errors import InvalidOptionError
from batchflow.operation.options import aware_datetime, is_count


def checked_clock(clock: Clock | None) -> Clock:
    """Return a clock, which is the machine's if there is none.

    Raises:
        InvalidOptionError: It is no clock.
    """
    if clock is None:
        return SystemClock()
    methods = (getattr(clock, name, None) for name in ("now", "seconds_until"))
    if isinstance(clock, type) or not all(map(callable, methods)):
        raise InvalidOptionError(
            f"clock is {clock!r}; give an object with the methods now() and seconds_until(moment).",
            option="clock",
        )
    return clock


def checked_limit(limit: int | None) -> int | None:
    """Return a limit that is a number of steps.

    Raises:
        InvalidOptionError: It is no such number.
    """
    if limit is not None and not is_count(limit):
        raise InvalidOptionError(
            f"limit is {limit!r}; give the most steps to execute, of all runs together.",
            option="limit",
        )
    return limit


def checked_until(until: datetime | None) -> datetime | None:
    """Return a moment with a time zone; without one it is in local time.

    Raises:
        InvalidOptionError: It is no moment.
    """
    if until is None:
        return None
    given: object = until
    if not isinstance(given, datetime):
        raise InvalidOptionError(f"until is {given!r}; give a datetime.datetime.", option="until")
    return aware_datetime(until, "until")


def checked_share(share: float | None) -> float | None:
    """Return the share of the workers that re-runs take.

    Raises:
        InvalidOptionError: It is no share.
    """
    is_number = isinstance(share, int | float) and not isinstance(share, bool)
    if share is not None and not (is_number and 0 < share <= 1):
        raise InvalidOptionError(
            f"rerun_share is {share!r}; give a share of the workers, above 0 and at most 1.",
            option="rerun_share",
        )
    return share
