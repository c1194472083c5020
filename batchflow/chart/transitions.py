"""Transitions between statuses: a cell for each pair, darker where more runs moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.chart.ink import BLUE, INK, RED
from batchflow.chart.result_columns import members, places, texts, values
from batchflow.chart.style import WIDTH_INCHES, add_legend, name_rows, reserve_room, width_for_names
from batchflow.definition.outcome import Outcome
from batchflow.short_form import short_number

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

_CELL_WIDTH_INCHES: Final = 1.05
_CELL_HEIGHT_INCHES: Final = 0.55
_SIDE_INCHES: Final = 1.5
_HEAD_INCHES: Final = 1.6
# Longer names would overlap, so they are slanted.
_MAX_HORIZONTAL_CHARACTERS: Final = 15
# A cell with any runs must be visible.
_FAINTEST: Final = 0.12
_STRONGEST: Final = 0.75
_FAILED: Final = Outcome.FAILED.name.lower()


def size(rows: pa.Table) -> tuple[float, float]:
    """Return the width and height of the chart in inches."""
    lines, columns = (len(rows[name].unique()) for name in ("from_status", "to_status"))
    least = width_for_names(members(rows["from_status"]))
    return (
        max(least, least - WIDTH_INCHES + _SIDE_INCHES + _CELL_WIDTH_INCHES * columns),
        _HEAD_INCHES + _CELL_HEIGHT_INCHES * lines,
    )


def draw(axes: Axes, rows: pa.Table) -> None:
    """Draw ``from_status``, ``to_status``, ``outcome``, ``runs``."""
    starts = members(rows["from_status"])
    ends = members(rows["to_status"])
    runs = np.zeros((len(starts), len(ends)))
    at = places(rows["from_status"], starts), places(rows["to_status"], ends)
    np.add.at(runs, at, values(rows["runs"]))
    edges = (np.arange(size + 1) - 0.5 for size in reversed(runs.shape))
    failed = _failed(rows, at, runs.shape)
    axes.pcolormesh(*edges, _colours(runs - failed), edgecolors="none")
    _mark_failures(axes, failed, runs)
    _write_outcomes(axes, rows, at)
    name_rows(axes, starts)
    _name_columns(axes, ends)


def _name_columns(axes: Axes, names: list[str]) -> None:
    slanted = 30 if max(map(len, names)) > _MAX_HORIZONTAL_CHARACTERS else 0
    if slanted:
        reserve_room(axes, names, slanted=True)
    axes.set_xticks(range(len(names)), names, parse_math=False)
    axes.tick_params(axis="x", length=0)
    for name in axes.get_xticklabels():
        name.set(rotation=slanted, ha="right" if slanted else "center", rotation_mode="anchor")
    axes.spines["bottom"].set_visible(False)


def _colours(runs: np.ndarray) -> np.ndarray:
    """Return the colour of each cell: red, green, blue and opacity."""
    from matplotlib.colors import to_rgb

    strength = np.maximum(np.log1p(runs) / max(np.log1p(runs.max()), 1.0), _FAINTEST)
    colours = np.empty((*runs.shape, 4))
    colours[..., :3] = to_rgb(BLUE)
    colours[..., 3] = np.where(runs > 0, _STRONGEST * strength, 0)
    return colours


def _failed(
    rows: pa.Table, at: tuple[np.ndarray, np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    failures = np.array([outcome == _FAILED for outcome in texts(rows["outcome"])])
    count = np.zeros(shape)
    np.add.at(count, at, np.where(failures, values(rows["runs"]), 0.0))
    return count


def _mark_failures(axes: Axes, failed: np.ndarray, runs: np.ndarray) -> None:
    """Colour the left part of each cell, as wide as the part of its transitions that failed."""
    lines, columns = np.nonzero(failed)
    if len(lines):
        part = failed[lines, columns] / runs[lines, columns]
        axes.barh(lines, part, 1.0, left=columns - 0.5, color=RED, alpha=_STRONGEST, label=_FAILED)
        add_legend(axes)


def _write_outcomes(axes: Axes, rows: pa.Table, at: tuple[np.ndarray, np.ndarray]) -> None:
    labels: dict[tuple[int, int], list[str]] = {}
    for line, column, outcome, runs in zip(
        *at, texts(rows["outcome"]), values(rows["runs"]), strict=True
    ):
        labels.setdefault((int(line), int(column)), []).append(f"{short_number(runs)} {outcome}")
    for (line, column), lines in labels.items():
        axes.text(column, line, "\n".join(lines), ha="center", va="center", fontsize=8, color=INK)
