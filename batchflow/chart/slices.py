"""The slices that explain some runs: the share of each of these runs, and of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.chart.bars import label_bars, size_for
from batchflow.chart.ink import INK, RED
from batchflow.chart.result_columns import texts, values
from batchflow.chart.style import FAINT, add_legend, label_axis, name_rows
from batchflow.short_form import counted

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

_BAR: Final = 0.36
# The label beside the longest bar needs room.
_ROOM: Final = 1.8


def size(rows: pa.Table) -> tuple[float, float]:
    """Return the width and height of the chart in inches."""
    return size_for(texts(rows["slice"]))


def draw(axes: Axes, rows: pa.Table) -> None:
    """Draw ``slice``, ``runs``, ``share_of_these``, ``share_of_rest``."""
    these, rest = values(rows["share_of_these"]), values(rows["share_of_rest"])
    at = np.arange(rows.num_rows)
    axes.barh(at - _BAR / 2, these, _BAR, color=RED, label="of the chosen runs")
    axes.barh(at + _BAR / 2, rest, _BAR, color=INK, alpha=FAINT, label="of the rest")
    labels = [_label(*each) for each in zip(these, rest, values(rows["runs"]), strict=True)]
    label_bars(axes, np.maximum(these, rest), labels)
    axes.set_xlim(0, _ROOM)
    shown = np.linspace(0, 1, 5)
    axes.set_xticks(shown, [f"{share:.0%}" for share in shown])
    label_axis(axes, "x", "share of the runs")
    name_rows(axes, texts(rows["slice"]))
    add_legend(axes)


def _label(these: float, rest: float, runs: float) -> str:
    shares = f"{_percent(these)} of these, {_percent(rest)} of the rest"
    return f"{shares}, {counted(int(runs), 'run')}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.1 else f"{share:.0%}"
