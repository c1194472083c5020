"""Horizontal bars with labels beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from batchflow.chart.result_columns import members
from batchflow.chart.style import label_axis, width_for_names, write_beside
from batchflow.short_form import short_number

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from matplotlib.axes import Axes

BAR: Final = 0.62

_ROW_INCHES: Final = 0.36
_HEAD_INCHES: Final = 1.4
# The label beside the longest bar needs room.
_ROOM: Final = 1.35


def bar_chart_size(rows: pa.Table) -> tuple[float, float]:
    """Return the width and height in inches of a chart with a bar for each status."""
    return size_for(members(rows["status"]))


def size_for(statuses: Sequence[str]) -> tuple[float, float]:
    """Return the width and height in inches of a chart with a row for each of these statuses."""
    return width_for_names(statuses), _HEAD_INCHES + _ROW_INCHES * len(statuses)


def set_count_axis(axes: Axes, highest: float) -> None:
    """Make the x axis count runs, from 0 to the longest bar, with room for labels."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(0, max(highest, 1) * _ROOM)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
    label_axis(axes, "x", "runs")


def draw_stacked_bars(axes: Axes, parts: Sequence[tuple[str, str, np.ndarray]]) -> None:
    """Draw stacked bars; a part has a label, a colour and a length for each row."""
    left = parts[0][2] * 0
    for label, colour, lengths in parts:
        axes.barh(range(len(lengths)), lengths, BAR, left=left, color=colour, label=label)
        left = left + lengths


def label_bars(axes: Axes, ends: np.ndarray, texts: Sequence[str]) -> None:
    """Write a text beside the end of each bar."""
    for row, (end, text) in enumerate(zip(ends, texts, strict=True)):
        write_beside(axes, end, row, text)
