"""How far runs got: a bar for each status, with the runs that ever reached it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchflow.chart.bars import BAR, label_bars, set_count_axis
from batchflow.chart.ink import BLUE, INK
from batchflow.chart.result_columns import texts, values
from batchflow.chart.style import FAINT, add_legend, name_rows
from batchflow.short_form import short_number

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


def draw(axes: Axes, rows: pa.Table) -> None:
    """Draw ``status``, ``reached``, ``here``, ``left``."""
    reached, here, left = (values(rows[name]) for name in ("reached", "here", "left"))
    at = np.arange(rows.num_rows)
    axes.barh(at, reached, BAR, color=INK, alpha=FAINT, label="reached")
    axes.barh(at, left, BAR / 2, color=BLUE, label="went on")
    label_bars(axes, reached, [_label(*each) for each in zip(reached, here, strict=True)])
    set_count_axis(axes, float(reached.max()))
    name_rows(axes, texts(rows["status"]))
    add_legend(axes)


def _label(reached: float, here: float) -> str:
    return f"{short_number(reached)} reached, {short_number(here)} here"
