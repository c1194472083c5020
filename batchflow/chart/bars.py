"""Horizontal bars with what they say beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from batchflow.chart.style import WIDTH_INCHES, beside
from batchflow.short_form import short_number

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from matplotlib.axes import Axes

BAR: Final = 0.62

_ROW_INCHES: Final = 0.36
_HEAD_INCHES: Final = 1.2
# What stands beside the longest bar needs room.
_ROOM: Final = 1.35


def a_bar_each(rows: pa.Table) -> tuple[float, float]:
    """Return the size of a chart with a bar for each status, in inches."""
    return WIDTH_INCHES, _HEAD_INCHES + _ROW_INCHES * len(rows["status"].unique())


def counted(axes: Axes, most: float) -> None:
    """Let the x axis count runs, from 0 to the longest bar, with room beside it."""
    axes.set_xlim(0, max(most, 1) * _ROOM)
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))


def stacked(axes: Axes, parts: Sequence[tuple[str, str, np.ndarray]]) -> None:
    """Stack bars, given as label, colour and a length for each row."""
    left = parts[0][2] * 0
    for label, colour, lengths in parts:
        axes.barh(range(len(lengths)), lengths, BAR, left=left, color=colour, label=label)
        left = left + lengths


def labelled(axes: Axes, ends: np.ndarray, texts: Sequence[str]) -> None:
    """Write beside each bar's end."""
    for row, (end, text) in enumerate(zip(ends, texts, strict=True)):
        beside(axes, end, row, text)
