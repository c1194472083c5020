"""The time that runs spent at each status, from the median to the longest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.chart.bars import label_bars
from batchflow.chart.duration_axis import SHORTEST_SECONDS, set_duration_axis
from batchflow.chart.ink import BLUE, INK
from batchflow.chart.result_columns import texts, values
from batchflow.chart.style import add_legend, name_rows
from batchflow.short_form import short_seconds

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

_MARKS: Final = (
    ("median", "p50_seconds", "o", 60),
    ("95th percentile", "p95_seconds", "D", 36),
    ("99th percentile", "p99_seconds", "s", 30),
    ("longest", "max_seconds", "|", 120),
)


def draw(axes: Axes, rows: pa.Table) -> None:
    """Draw ``status``, ``p50_seconds``, ``p95_seconds``, ``p99_seconds``, ``max_seconds``."""
    at = np.arange(rows.num_rows)
    seconds = {
        column: np.maximum(values(rows[column]), SHORTEST_SECONDS) for _, column, _, _ in _MARKS
    }
    median, longest = seconds["p50_seconds"], seconds["max_seconds"]
    set_duration_axis(axes, "time at the status", median.min(), longest.max())
    axes.hlines(at, median, longest, color=INK, alpha=0.5)
    for label, column, mark, size in _MARKS:
        axes.scatter(seconds[column], at, size, color=BLUE, marker=mark, label=label, zorder=3)
    label_bars(axes, longest, [_label(*each) for each in zip(median, longest, strict=True)])
    name_rows(axes, texts(rows["status"]))
    add_legend(axes)


def _label(median: float, longest: float) -> str:
    return f"{short_seconds(median)}, at most {short_seconds(longest)}"
