"""How far runs got: a bar for each status of those that were ever there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchflow.chart.bars import BAR, counted, labelled
from batchflow.chart.ink import BLUE, INK
from batchflow.chart.result_columns import texts, values
from batchflow.chart.style import FAINT, explained, rows_named
from batchflow.short_form import short_number

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


def draw(axes: Axes, rows: pa.Table) -> None:
    """Draw ``status``, ``reached``, ``here``, ``left``."""
    reached, here, left = (values(rows[name]) for name in ("reached", "here", "left"))
    at = np.arange(rows.num_rows)
    axes.barh(at, reached, BAR, color=INK, alpha=FAINT, label="reached it")
    axes.barh(at, left, BAR / 2, color=BLUE, label="went on")
    labelled(axes, reached, [_told(*each) for each in zip(reached, here, strict=True)])
    counted(axes, float(reached.max()))
    rows_named(axes, texts(rows["status"]))
    explained(axes)


def _told(reached: float, here: float) -> str:
    return f"{short_number(reached)} reached, {short_number(here)} here"
