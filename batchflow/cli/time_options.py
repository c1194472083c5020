"""Times and ages as values of options."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any, TypeVar

import click

CommandT = TypeVar("CommandT", bound="Callable[..., Any] | click.Command")

_AGE = re.compile(r"(\d+)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class TimeType(click.ParamType[datetime]):
    """``HH:MM``, the next such time of day, or an ISO date and time."""

    name = "HH:MM|ISO"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time, with a time zone."""
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        try:
            moment = parse_time(str(value), now)
        except ValueError:
            self.fail(
                f"{value!r} isn't a time. Give HH:MM, or a date and time like 2030-01-31T06:00.",
                param,
                ctx,
            )
        if moment <= now:
            self.fail(f"{value!r} is in the past. Give a time in the future.", param, ctx)
        return moment


class AgeType(click.ParamType[timedelta | datetime]):
    """An age like ``30d``, or an ISO date, with or without a time."""

    name = "AGE|ISO"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | datetime:
        """Return the duration, or the time with a time zone."""
        if isinstance(value, timedelta | datetime):
            return value
        try:
            return parse_age(str(value))
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} isn't an age. Give one like 90m, 12h, 30d or 2w, or a date like "
                "2030-01-31 or 2030-01-31T06:00.",
                param,
                ctx,
            )


def _moment(
    context: click.Context, option: click.Parameter, given: timedelta | datetime | None
) -> datetime | None:
    try:
        return datetime.now(UTC) - given if isinstance(given, timedelta) else given
    except OverflowError:
        raise click.BadParameter("It is before the year 1.", context, option) from None


def moment_option(name: str, help_text: str) -> Callable[[CommandT], CommandT]:
    """Return an option that takes a moment as an ISO date and time, or as an age."""
    return click.option(name, type=AgeType(), callback=_moment, help=help_text)


as_of_option = moment_option(
    "--as-of", "As it was at this moment: how long ago, like 90m, 12h or 30d, or a date and time."
)
since_option = moment_option("--since", "From this moment on: an age like 12h, or a date and time.")
until_option = moment_option("--until", "Before this moment, likewise.")


def parse_age(text: str) -> timedelta | datetime:
    """Return an age as a duration, or an ISO date as a time with a time zone, by default local.

    Raises:
        ValueError: The text is neither an age nor an ISO date.
        OverflowError: The age is too long.
    """
    matched = _AGE.fullmatch(text)
    if matched is None:
        return _aware(datetime.fromisoformat(text))
    return timedelta(**{_UNITS[matched[2]]: int(matched[1])})


def parse_time(text: str, now: datetime) -> datetime:
    """Return a time with a time zone, by default local.

    Raises:
        ValueError: The text is neither ``HH:MM`` nor an ISO date and time.
    """
    matched = _TIME_OF_DAY.fullmatch(text)
    if matched is None:
        return _aware(datetime.fromisoformat(text))
    local_now = now.astimezone()
    wanted = time(int(matched[1]), int(matched[2]))
    today = _local(local_now, wanted)
    return today if today > now else _local(local_now + timedelta(days=1), wanted)


def time_in_words(moment: datetime, now: datetime) -> str:
    """Return a moment in local time: ``today 23:30``, ``tomorrow 06:00``, or with its date."""
    local = moment.astimezone()
    days = (local.date() - now.astimezone().date()).days
    day = {0: "today", 1: "tomorrow"}.get(days, f"{local:%Y-%m-%d}")
    return f"{day} {local:%H:%M}"


def _local(day: datetime, wanted: time) -> datetime:
    # Through a naive datetime, because the offset of that day may differ from today's.
    return datetime.combine(day.date(), wanted).astimezone()


def _aware(moment: datetime) -> datetime:
    return moment.astimezone() if moment.tzinfo is None else moment
