"""An axis for durations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.chart.style import draw_grid, label_axis
from batchflow.short_form import short_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHORTEST_SECONDS: Final = 1e-3
"""The shortest duration that is drawn, because a logarithmic axis has no 0."""

# The durations at which ticks are drawn.
_ROUND_SECONDS: Final = np.array(
    [
        *(1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
        *(60, 120, 300, 600, 1_800, 3_600, 2 * 3_600, 6 * 3_600, 12 * 3_600),
        *(day * 86_400 for day in (1, 2, 7, 30, 90, 365, 3_650)),
    ]
)
_MAX_TICKS: Final = 8
# The space at both ends of the axis, as a part of the distance between shortest and longest. The
# label of the longest bar needs room.
_MARGIN, _ROOM = 0.06, 0.6


def set_duration_axis(axes: Axes, what: str, shortest: float, longest: float) -> None:
    """Make the x axis show durations in seconds on a logarithmic scale."""
    ratio = max(longest / shortest, 10.0)
    axes.set_xscale("log")
    axes.set_xlim(shortest / ratio**_MARGIN, shortest * ratio ** (1 + _ROOM))
    visible = (shortest / ratio**_MARGIN <= _ROUND_SECONDS) & (shortest * ratio >= _ROUND_SECONDS)
    ticks = _ROUND_SECONDS[visible]
    ticks = ticks[:: -(-len(ticks) // _MAX_TICKS) or 1]
    axes.set_xticks(ticks, [short_seconds(seconds) for seconds in ticks])
    axes.set_xticks([], minor=True)
    label_axis(axes, "x", f"{what}, on a logarithmic scale")
    draw_grid(axes, "x")
