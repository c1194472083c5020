"""Runs per second over time: a line or a band for each status that they left, and failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from batchflow.chart.ink import BLUE, INK, RED, SERIES
from batchflow.chart.result_columns import members, microseconds, places, values
from batchflow.chart.style import (
    FAINT,
    WIDTH_INCHES,
    add_legend,
    draw_grid,
    label_axis,
    legend_columns,
    name_rows,
    width_for_names,
)
from batchflow.chart.time_axis import TIME, time_axis
from batchflow.short_form import short_number

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

_HEIGHT_INCHES: Final = 3.6
_LEGEND_LINE_INCHES: Final = 0.2
_HEAD_INCHES: Final = 1.4
_BAND_INCHES: Final = 0.36
# The height of a band, as a part of the distance between two.
_BAND: Final = 0.84

Outline: TypeAlias = tuple[np.ndarray, np.ndarray]
"""The places on the time axis and the heights of a line's corners."""


def size(rows: pa.Table) -> tuple[float, float]:
    """Return the width and height of the chart in inches, with room for its names."""
    statuses = members(rows["status"])
    if len(statuses) > len(SERIES):
        return width_for_names(statuses), _HEAD_INCHES + _BAND_INCHES * len(statuses)
    lines = -(-len(statuses) // legend_columns(statuses)) if statuses else 0
    return WIDTH_INCHES, _HEIGHT_INCHES + _LEGEND_LINE_INCHES * lines


def draw(axes: Axes, rows: pa.Table) -> None:
    """Draw ``bucket``, ``status``, ``runs``, ``failed``, ``runs_per_second``.

    A few statuses are lines over each other, and one more line has the failures of all. Of many
    statuses, each has a band of its own, with its failures in it.
    """
    rows = rows.sort_by("bucket")
    begins, pace = microseconds(rows["bucket"]), values(rows["runs_per_second"])
    length = round(1e6 * float(values(rows["runs"])[0] / pace[0]))
    statuses = members(rows["status"])
    at = places(rows["status"], statuses)
    axis = time_axis(begins, length)
    failing = values(rows["failed"]) / (length / 1e6)

    def outline(begins: np.ndarray, pace: np.ndarray) -> Outline:
        x, y = _outline(begins, pace, length)
        return axis.places(x), y

    def of_each(pace: np.ndarray) -> list[Outline]:
        return [outline(begins[at == place], pace[at == place]) for place in range(len(statuses))]

    axis.apply(axes)
    if len(statuses) > len(SERIES):
        _draw_bands(axes, statuses, of_each(pace), of_each(failing))
    else:
        _draw_lines(axes, statuses, of_each(pace))
        if failing.any():
            _draw_failures(axes, outline(*_summed(begins, failing)))
        _finish_lines(axes)


def _summed(begins: np.ndarray, pace: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each bucket once, with the sum of its rows."""
    buckets, places = np.unique(begins, return_inverse=True)
    return buckets, np.bincount(places, weights=pace)


def _draw_failures(axes: Axes, outline: Outline) -> None:
    axes.plot(*outline, color=RED, linewidth=1.8, linestyle="--", label="failures")


def _draw_lines(axes: Axes, statuses: Sequence[str], outlines: Sequence[Outline]) -> None:
    for status, colour, (x, y) in zip(statuses, SERIES, outlines, strict=False):
        # matplotlib omits names that begin with an underscore from legends.
        label = f" {status}" if status.startswith("_") else status
        axes.plot(x, y, color=colour, linewidth=1.8, label=label)
        axes.fill_between(x, y, color=colour, alpha=0.08, linewidth=0)


def _finish_lines(axes: Axes) -> None:
    draw_grid(axes, "y")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: short_number(value))
    label_axis(axes, "y", "runs per second")
    add_legend(axes)


def _draw_bands(
    axes: Axes,
    statuses: Sequence[str],
    outlines: Sequence[Outline],
    failing: Sequence[Outline],
) -> None:
    highest = max(float(y.max()) for _, y in outlines)
    for row in range(len(statuses)):
        base = row + _BAND / 2
        for (x, y), colour in ((outlines[row], BLUE), (failing[row], RED)):
            if y.any():
                axes.fill_between(x, base, base - _BAND * y / highest, color=colour, linewidth=0)
        axes.axhline(base, color=INK, alpha=FAINT, linewidth=0.6)
    name_rows(axes, statuses)
    unit = f"a band's full height is {short_number(highest)} runs per second"
    if any(y.any() for _, y in failing):
        unit += "; failures are red"
    label_axis(axes, "x", f"{TIME}; {unit}")


def _outline(begins: np.ndarray, pace: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of a step line that is 0 at missing buckets and at both ends."""
    ends = begins + length
    x, y = np.column_stack([begins, ends]).ravel(), np.repeat(pace, 2)
    broken = 2 * (1 + np.flatnonzero(begins[1:] > ends[:-1]))
    falls = np.concatenate([[0], broken, broken, [len(x)]])
    times = np.concatenate([begins[:1], x[broken - 1], x[broken], ends[-1:]])
    return np.insert(x, falls, times), np.insert(y, falls, 0.0)
