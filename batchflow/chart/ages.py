"""The time since the last change of the oldest unfinished run: a mark for each status.

Marks and not bars, because a bar would have to begin at 0, which a logarithmic axis lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.chart.bars import label_bars
from batchflow.chart.duration_axis import SHORTEST_SECONDS, set_duration_axis
from batchflow.chart.ink import BLUE
from batchflow.chart.result_columns import texts, values
from batchflow.chart.style import name_rows
from batchflow.short_form import short_number, short_seconds

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


_MARK_POINTS: Final = 60


def draw(axes: Axes, rows: pa.Table) -> None:
    """Draw ``status``, ``runs``, ``age_seconds``."""
    seconds = np.maximum(values(rows["age_seconds"]), SHORTEST_SECONDS)
    set_duration_axis(axes, "time since its last change", seconds.min() / 2, seconds.max())
    axes.scatter(seconds, np.arange(rows.num_rows), _MARK_POINTS, color=BLUE, zorder=3)
    labels = [_label(*each) for each in zip(seconds, values(rows["runs"]), strict=True)]
    label_bars(axes, seconds, labels)
    name_rows(axes, texts(rows["status"]))


def _label(seconds: float, runs: float) -> str:
    return f"{short_seconds(seconds)}, {short_number(runs)} {'run' if runs == 1 else 'runs'}"
