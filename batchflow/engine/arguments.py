"""The arguments of a drain, checked once."""

from __future__ import annotations

from datetime import datetime

from batchflow.errors import InvalidOptionError
from batchflow.operation.options import aware_datetime


def checked_limit(limit: int | None) -> int | None:
    """Return a limit that is a number of runs.

    Raises:
        InvalidOptionError: It is no such number.
    """
    if limit is not None and not _is_count(limit):
        raise InvalidOptionError(
            f"limit is {limit!r}; give the largest number of runs to execute steps for.",
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


def _is_count(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 0
