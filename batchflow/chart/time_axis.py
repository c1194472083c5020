"""Axes of moments, and of spans of time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.chart.style import ruled
from batchflow.short_form import short_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHORTEST_SECONDS: Final = 1e-3
"""A logarithmic axis has no 0."""

_MICROSECONDS_PER_DAY: Final = 86_400_000_000
# Where a person expects a mark.
_ROUND_SECONDS: Final = np.array(
    [
        *(1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
        *(60, 120, 300, 600, 1_800, 3_600, 2 * 3_600, 6 * 3_600, 12 * 3_600),
        *(day * 86_400 for day in (1, 2, 7, 30, 90, 365, 3_650)),
    ]
)
_MOST_MARKS: Final = 8
# On both sides of the marks, in parts of the way between shortest and longest; at the end of the
# longest there is text.
_MARGIN, _ROOM = 0.06, 0.6


def spans(axes: Axes, shortest: float, longest: float) -> None:
    """Let the x axis measure spans of time in seconds, on a logarithmic scale."""
    way = max(longest / shortest, 10.0)
    axes.set_xscale("log")
    axes.set_xlim(shortest / way**_MARGIN, shortest * way ** (1 + _ROOM))
    there = (shortest / way**_MARGIN <= _ROUND_SECONDS) & (shortest * way >= _ROUND_SECONDS)
    marks = _ROUND_SECONDS[there]
    marks = marks[:: -(-len(marks) // _MOST_MARKS) or 1]
    axes.set_xticks(marks, [short_seconds(seconds) for seconds in marks])
    axes.set_xticks([], minor=True)
    ruled(axes, "x")


def moments(axes: Axes) -> None:
    """Let the x axis show moments, given as days since the epoch, in local time."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    here = datetime.now(UTC).astimezone().tzinfo
    locator = AutoDateLocator(tz=here)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=here))


def days(microseconds: np.ndarray) -> np.ndarray:
    """Return moments, given in microseconds since the epoch, as matplotlib counts them."""
    counted: np.ndarray = microseconds / _MICROSECONDS_PER_DAY
    return counted
