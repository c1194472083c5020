"""Moments as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta

import click

_AGE = re.compile(r"(\d+)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class TimeType(click.ParamType[datetime]):
    """``HH:MM``, the next time the clock says so here, or an ISO date and time."""

    name = "HH:MM|ISO"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Answer the moment, aware."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_time(str(value), datetime.now(UTC))
        except ValueError:
            self.fail(
                f"{value!r} is no moment; give HH:MM, or a date and time like 2030-01-31T06:00",
                param,
                ctx,
            )


class AgeType(click.ParamType[timedelta | datetime]):
    """How long ago, like ``30d``, or an ISO date, with or without a time."""

    name = "AGE|ISO"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | datetime:
        """Answer the duration, or the moment, aware."""
        if isinstance(value, timedelta | datetime):
            return value
        try:
            return parse_age(str(value))
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no age; give one like 30d (90m, 12h, 30d, 2w), or a date like "
                "2030-01-31 or 2030-01-31T06:00",
                param,
                ctx,
            )


def parse_age(text: str) -> timedelta | datetime:
    """Answer how long ago `text` says, or which moment, aware; without a zone, local is meant.

    Raises:
        ValueError: it is neither an age nor ISO; OverflowError: it is too long ago.
    """
    matched = _AGE.fullmatch(text)
    if matched is None:
        return _aware(datetime.fromisoformat(text))
    return timedelta(**{_UNITS[matched[2]]: int(matched[1])})


def parse_time(text: str, now: datetime) -> datetime:
    """Answer the moment that `text` means, aware; without a time zone, local time is meant.

    Raises:
        ValueError: it is neither ``HH:MM`` nor ISO.
    """
    matched = _TIME_OF_DAY.fullmatch(text)
    if matched is None:
        return _aware(datetime.fromisoformat(text))
    here = now.astimezone()
    wanted = time(int(matched[1]), int(matched[2]))
    today = _local(here, wanted)
    return today if today > now else _local(here + timedelta(days=1), wanted)


def _local(day: datetime, wanted: time) -> datetime:
    # By way of a naive one: the offset of that moment may be another than today's.
    return datetime.combine(day.date(), wanted).astimezone()


def _aware(moment: datetime) -> datetime:
    return moment.astimezone() if moment.tzinfo is None else moment
