"""The number of runs at each status: a bar for each, divided by run state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from batchflow.chart.bars import draw_stacked_bars, label_bars, set_count_axis, size_for
from batchflow.chart.ink import RUN_STATE_COLOURS
from batchflow.chart.result_columns import all_members, members, places, values
from batchflow.chart.style import add_legend, name_rows
from batchflow.definition.run_state import RunState
from batchflow.short_form import short_number

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


def size(rows: pa.Table) -> tuple[float, float]:
    """Return the width and height of the chart in inches."""
    return size_for(all_members(rows["status"]))


def draw(axes: Axes, rows: pa.Table) -> None:
    """Draw ``status``, ``run_state``, ``runs``, with a row for each status that there is."""
    statuses, states = all_members(rows["status"]), members(rows["run_state"])
    runs = np.zeros((len(states), len(statuses)))
    at = places(rows["run_state"], states), places(rows["status"], statuses)
    np.add.at(runs, at, values(rows["runs"]))
    names = [_label(state) for state in states]
    colours = [RUN_STATE_COLOURS[RunState[state]] for state in states]
    draw_stacked_bars(axes, list(zip(names, colours, runs, strict=True)))
    totals = runs.sum(axis=0)
    label_bars(axes, totals, [_parts(names, column) for column in runs.T])
    set_count_axis(axes, totals.max())
    name_rows(axes, statuses)
    add_legend(axes)


def _parts(names: Sequence[str], runs: np.ndarray) -> str:
    """Return the parts as a text, because a few paused runs among a million can't be seen."""
    parts = [f"{short_number(n)} {name}" for name, n in zip(names, runs, strict=True) if n]
    return ", ".join(parts) or "0"


def _label(state: str) -> str:
    return state.lower().replace("_", " ")
