"""Where the runs are: a bar for each status, made up of run states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from batchflow.chart.bars import counted, labelled, stacked
from batchflow.chart.ink import BY_RUN_STATE
from batchflow.chart.result_columns import members, places, values
from batchflow.chart.style import explained, rows_named
from batchflow.short_form import short_number

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes


def draw(axes: Axes, rows: pa.Table) -> None:
    """Draw ``status``, ``run_state``, ``runs``."""
    statuses, states = members(rows["status"]), members(rows["run_state"])
    runs = np.zeros((len(states), len(statuses)))
    at = places(rows["run_state"], states), places(rows["status"], statuses)
    np.add.at(runs, at, values(rows["runs"]))
    names = [_said(state) for state in states]
    colours = [BY_RUN_STATE[state] for state in states]
    stacked(axes, list(zip(names, colours, runs, strict=True)))
    totals = runs.sum(axis=0)
    labelled(axes, totals, [_told(names, column) for column in runs.T])
    counted(axes, totals.max())
    rows_named(axes, statuses)
    explained(axes)


def _told(names: Sequence[str], runs: np.ndarray) -> str:
    """Say the parts, as the eye misses a few paused runs among a million others."""
    there = [f"{short_number(n)} {name}" for name, n in zip(names, runs, strict=True) if n]
    return ", ".join(there)


def _said(state: str) -> str:
    return state.lower().replace("_", " ")
