"""The style of all charts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from batchflow.chart.ink import INK
from batchflow.picture.markup import width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_INCHES: Final = 8.0
_NAME_INCHES: Final = 2.0
_LEGEND_MARK_INCHES: Final = 0.7
_PIXELS_PER_INCH: Final = 96.0
# A character of 9 points in matplotlib's font, or the box that it draws for one that it lacks.
_NARROW_INCHES: Final = 0.094
_MOST_RESERVED: Final = 0.6
_TITLE_CHARACTERS: Final = 80
FAINT: Final = 0.25


def inches(text: str) -> float:
    """Return about the width of a text of 9 points in the reader's font."""
    return width(text) / _PIXELS_PER_INCH


def set_title(axes: Axes, title: str) -> None:
    """Set the title and the colours of axes."""
    lines = textwrap.fill(title, _TITLE_CHARACTERS)
    axes.set_title(lines, loc="left", color=INK, fontsize=12, fontweight="bold", parse_math=False)
    axes.patch.set_visible(False)
    axes.tick_params(colors=INK, labelcolor=INK, labelsize=9, length=3)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)


def write_instead(axes: Axes, text: str) -> None:
    """Write a text in place of the chart."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=INK, transform=axes.transAxes)


def draw_grid(axes: Axes, direction: Literal["x", "y"]) -> None:
    """Draw faint lines at the ticks of one axis."""
    axes.grid(visible=True, axis=direction, color=INK, alpha=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def label_axis(axes: Axes, direction: Literal["x", "y"], text: str) -> None:
    """State what an axis shows, in which unit."""
    set_label = axes.set_xlabel if direction == "x" else axes.set_ylabel
    set_label(text, color=INK, fontsize=9)


def width_for_names(names: Sequence[str]) -> float:
    """Return the width in inches of a chart whose rows have these names."""
    longest = max(map(inches, names), default=0.0)
    return WIDTH_INCHES + max(0.0, longest - _NAME_INCHES)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a horizontal chart, from top to bottom."""
    reserve_room(axes, names)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def reserve_room(axes: Axes, names: Sequence[str], *, slanted: bool = False) -> None:
    """Leave room for names whose characters matplotlib's font lacks: it takes them for narrow."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    wider = max((inches(name) - _NARROW_INCHES * len(name) for name in names), default=0.0)
    figure = axes.get_figure(root=True)
    engine = None if figure is None else figure.get_layout_engine()
    if figure is not None and wider > 0 and isinstance(engine, ConstrainedLayoutEngine):
        part = min(wider / figure.get_figwidth(), _MOST_RESERVED)
        # Below, as the names of columns are slanted.
        bottom = min(wider / 2 / figure.get_figheight(), _MOST_RESERVED) if slanted else 0.0
        engine.set(rect=(part, bottom, 1 - part, 1 - bottom))


def legend_columns(labels: Sequence[str], width_inches: float = WIDTH_INCHES) -> int:
    """Return in how many columns a legend with these labels fits below a chart."""
    longest = max(map(inches, labels), default=0.0) + _LEGEND_MARK_INCHES
    return max(1, min(len(labels), int(width_inches / longest)))


def add_legend(axes: Axes) -> None:
    """Add a legend below the chart."""
    handles, labels = axes.get_legend_handles_labels()
    width_inches = max(axes.figure.bbox.width / axes.figure.dpi, 1.0)
    legend = axes.figure.legend(
        handles,
        labels,
        loc="outside lower left",
        ncols=legend_columns(labels, width_inches),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def write_beside(axes: Axes, x: float, row: float, text: str) -> None:
    """Write a text beside the end of a bar."""
    axes.annotate(
        text,
        (x, row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        color=INK,
        fontsize=9,
        parse_math=False,
        annotation_clip=False,
    )
