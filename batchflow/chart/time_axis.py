"""A time axis that leaves out the gaps between the nights of a store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.chart.ink import INK
from batchflow.chart.style import FAINT, label_axis
from batchflow.short_form import short_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SECOND: Final = 1_000_000
_MINUTE: Final = 60 * _SECOND
_DAY: Final = 86_400 * _SECOND
# The distances between ticks; larger ones are full numbers of days.
_ROUND: Final = tuple(
    seconds * _SECOND
    for seconds in (
        *(1, 2, 5, 10, 15, 30),
        *(60, 120, 300, 600, 900, 1_800),
        *(3_600, 7_200, 21_600, 43_200),
    )
)
_MOST_TICKS: Final = 8
# A gap is left out if it is longer than all times with data together, and than some buckets.
_LEAST_BUCKETS: Final = 10
# The width of such a gap, as a part of the axis.
_GAP: Final = 0.06
_LEAST_APART: Final = 0.07

TIME: Final = "time (UTC)"


@dataclass(frozen=True)
class TimeAxis:
    """Times as places on an axis; both in microseconds.

    Attributes:
        begins: Where each time with data begins, in ascending order.
        ends: Where it ends.
    """

    begins: np.ndarray
    ends: np.ndarray

    @property
    def _gap(self) -> float:
        return float(np.sum(self.ends - self.begins)) * _GAP

    @property
    def _starts(self) -> np.ndarray:
        lengths = np.concatenate([[0.0], (self.ends - self.begins)[:-1] + self._gap])
        starts: np.ndarray = np.cumsum(lengths)
        return starts

    def places(self, times: np.ndarray) -> np.ndarray:
        """Return the places of times."""
        starts = self._starts
        stops = starts + (self.ends - self.begins)
        known = np.column_stack([self.begins, self.ends]).ravel()
        found: np.ndarray = np.interp(times, known, np.column_stack([starts, stops]).ravel())
        return found

    def apply(self, axes: Axes) -> None:
        """Set the ticks in UTC, and mark the gaps."""
        times, labels = _ticks(self.begins, self.ends)
        places, end = self.places(times), self.places(self.ends[-1:])[0]
        # The last label before a gap would touch the first one behind it.
        apart = np.append(np.diff(places) > end * _LEAST_APART, True)
        shown = [
            label if fits or "\n" in label else ""
            for label, fits in zip(labels, apart, strict=True)
        ]
        axes.set_xticks(places, shown)
        axes.set_xlim(0, end)
        label_axis(axes, "x", TIME)
        for before, after in zip(self.ends[:-1], self.begins[1:], strict=True):
            left, right = self.places(np.array([before, after])).tolist()
            _mark_gap(axes, left, right, (after - before) / _SECOND)


def time_axis(begins: np.ndarray, length: int) -> TimeAxis:
    """Return the axis for buckets of this length that begin at these times."""
    moments = np.unique(begins)
    gaps = np.diff(moments) - length
    longest = max(len(moments), _LEAST_BUCKETS) * length
    cut = np.flatnonzero(gaps > longest)
    return TimeAxis(
        np.concatenate([moments[:1], moments[cut + 1]]),
        np.concatenate([moments[cut], moments[-1:]]) + length,
    )


def _ticks(begins: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the times of ticks and their labels, of which the first of each day has the date."""
    step = _step(float(np.sum(ends - begins)))
    found = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        round_times = np.arange(-(-begin // step) * step, end + 1, step)
        # A short time may have no round one.
        found.append(round_times if len(round_times) else np.array([begin]))
    times = np.concatenate(found)
    moments = [datetime.fromtimestamp(time / _SECOND, UTC) for time in times.tolist()]
    days = [None, *(moment.date() for moment in moments)]
    return times, [
        _label(moment, step, dated=moment.date() != before)
        for moment, before in zip(moments, days, strict=False)
    ]


def _label(moment: datetime, step: int, *, dated: bool) -> str:
    clock = "" if step >= _DAY else f"{moment:%H:%M}" if step >= _MINUTE else f"{moment:%H:%M:%S}"
    return f"{clock}\n{moment:%Y-%m-%d}" if dated else clock


def _step(total: float) -> int:
    fitting = (step for step in _ROUND if total <= step * _MOST_TICKS)
    return next(fitting, _DAY * max(1, -(-int(total) // (_DAY * _MOST_TICKS))))


def _mark_gap(axes: Axes, left: float, right: float, seconds: float) -> None:
    axes.axvspan(left, right, color=INK, alpha=FAINT / 2, linewidth=0)
    axes.text(
        (left + right) / 2,
        0.5,
        f"{short_seconds(seconds)} without transitions",
        rotation=90,
        ha="center",
        va="center",
        fontsize=8,
        color=INK,
        transform=axes.get_xaxis_transform(),
    )
