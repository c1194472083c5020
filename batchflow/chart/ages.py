"""How long nothing happened to the oldest unfinished run: a bar for each status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchflow.chart.bars import BAR, labelled
from batchflow.chart.ink import BLUE
from batchflow.chart.result_columns import texts, values
from batchflow.chart.style import rows_named
from batchflow.chart.time_axis import SHORTEST_SECONDS, spans
from batchflow.short_form import short_number, short_seconds

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


def draw(axes: Axes, rows: pa.Table) -> None:
    """Draw ``status``, ``runs``, ``age_seconds``."""
    seconds = np.maximum(values(rows["age_seconds"]), SHORTEST_SECONDS)
    spans(axes, seconds.min() / 2, seconds.max())
    axes.barh(np.arange(rows.num_rows), seconds, BAR, color=BLUE)
    told = [_told(*each) for each in zip(seconds, values(rows["runs"]), strict=True)]
    labelled(axes, seconds, told)
    rows_named(axes, texts(rows["status"]))


def _told(seconds: float, runs: float) -> str:
    return f"{short_seconds(seconds)}, {short_number(runs)} runs wait"
