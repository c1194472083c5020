"""What callers give, checked once: a wrong type is said here, and not found deep inside."""

from __future__ import annotations

from datetime import datetime, timedelta

from batchflow.errors import EngineStateError


def limit_of(limit: int | None) -> int | None:
    """Answer a limit that is a number of runs.

    Raises:
        EngineStateError: it is no such number.
    """
    if limit is not None and not _is_count(limit):
        raise EngineStateError(f"limit is {limit!r}; give the most runs to execute steps for")
    return limit


def aware(moment: datetime | None) -> datetime | None:
    """Answer a moment with a time zone; a naive one is meant in local time, as people say it.

    Raises:
        EngineStateError: it is no moment.
    """
    if moment is None:
        return None
    given: object = moment
    if not isinstance(given, datetime):
        raise EngineStateError(f"until is {given!r}; give a datetime.datetime")
    return moment.astimezone() if moment.tzinfo is None else moment


def finished_by(given: timedelta | datetime, now: datetime) -> datetime:
    """Answer the moment before which runs are to have finished; a duration counts back from now.

    Raises:
        EngineStateError: it is neither, is negative, or goes back too far.
    """
    moment: object = given
    if isinstance(moment, datetime):
        return moment.astimezone() if moment.tzinfo is None else moment
    if not isinstance(moment, timedelta) or moment < timedelta(0):
        raise EngineStateError(
            f"finished_before is {moment!r}; give a datetime.datetime, or a datetime.timedelta "
            "that is counted back from now, like timedelta(days=30)"
        )
    try:
        return now - moment
    except OverflowError:
        raise EngineStateError(
            f"finished_before is {moment!r}, which goes back before the year 1; give less"
        ) from None


def _is_count(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 0
