"""Short texts for numbers, durations and times, for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

_Scale: TypeAlias = Sequence[tuple[float, str]]

_SIZES: Final[_Scale] = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (0.0, ""))
_UNITS: Final[_Scale] = (
    (86_400.0, " d"),
    (3_600.0, " h"),
    (60.0, " min"),
    (1.0, " s"),
    (1e-3, " ms"),
    (0.0, " µs"),
)


def counted(number: int, noun: str) -> str:
    """Return a number with what it counts: ``1 run``, ``2,000 runs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short_number(value: float) -> str:
    """Return a number with three digits: ``987``, ``1.2M``."""
    return _scaled(value, _SIZES, least=1.0)


def short_seconds(seconds: float) -> str:
    """Return a duration with three digits, in its largest unit: ``250 ms``, ``1.5 h``."""
    return _scaled(seconds, _UNITS, least=1e-6)


def short_moment(moment: datetime, now: datetime) -> str:
    """Return a time in UTC, as precise as its distance needs: ``05:40``, ``24 Dec 05:40``."""
    moment, now = moment.astimezone(UTC), now.astimezone(UTC)
    if moment.date() == now.date():
        return f"{moment:%H:%M}"
    soon = abs(moment - now) < timedelta(days=6)
    return f"{moment:%a %H:%M}" if soon else f"{moment:%d %b %H:%M}"


def _scaled(value: float, scale: _Scale, *, least: float) -> str:
    # A number that is rounded up to a thousand belongs to the next size.
    rounded = float(f"{value:.3g}")
    size, suffix = next(each for each in scale if abs(rounded) >= each[0])
    return f"{rounded / (size or least):.3g}{suffix}"
