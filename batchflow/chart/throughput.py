"""Runs per second over time: a line for each status that they left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.chart.ink import SERIES
from batchflow.chart.result_columns import members, microseconds, places, values
from batchflow.chart.style import WIDTH_INCHES, add_legend, draw_grid
from batchflow.chart.time_axis import days, set_time_axis
from batchflow.short_form import short_number

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

_DASHES: Final = ("-", "--", ":")
_HEIGHT_INCHES: Final = 3.6


def size(_: pa.Table) -> tuple[float, float]:
    """Return the width and height of the chart in inches."""
    return WIDTH_INCHES, _HEIGHT_INCHES


def draw(axes: Axes, rows: pa.Table) -> None:
    """Draw ``bucket``, ``status``, ``runs``, ``runs_per_second``."""
    rows = rows.sort_by("bucket")
    begins, pace = microseconds(rows["bucket"]), values(rows["runs_per_second"])
    length = round(1e6 * float(values(rows["runs"])[0] / pace[0]))
    statuses = members(rows["status"])
    at = places(rows["status"], statuses)
    for place, status in enumerate(statuses):
        x, y = _outline(begins[at == place], pace[at == place], length)
        colour, dashes = (
            SERIES[place % len(SERIES)],
            _DASHES[place // len(SERIES) % 3],
        )
        # matplotlib omits names that begin with an underscore from legends.
        label = f" {status}" if status.startswith("_") else status
        axes.plot(days(x), y, color=colour, linestyle=dashes, linewidth=1.8, label=label)
        axes.fill_between(days(x), y, color=colour, alpha=0.08, linewidth=0)
    set_time_axis(axes)
    draw_grid(axes, "y")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{short_number(value)}/s")
    add_legend(axes)


def _outline(begins: np.ndarray, pace: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of a step line that is 0 at missing buckets and at both ends."""
    ends = begins + length
    x, y = np.column_stack([begins, ends]).ravel(), np.repeat(pace, 2)
    broken = 2 * (1 + np.flatnonzero(begins[1:] > ends[:-1]))
    falls = np.concatenate([[0], broken, broken, [len(x)]])
    times = np.concatenate([begins[:1], x[broken - 1], x[broken], ends[-1:]])
    return np.insert(x, falls, times), np.insert(y, falls, 0.0)
