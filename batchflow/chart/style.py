"""The style of all charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from batchflow.chart.ink import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_INCHES: Final = 8.0
FAINT: Final = 0.25


def set_title(axes: Axes, title: str) -> None:
    """Set the title and the colours of axes."""
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold", parse_math=False)
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


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a horizontal chart, from top to bottom."""
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def add_legend(axes: Axes, columns: int = 4) -> None:
    """Add a legend below the chart."""
    handles, labels = axes.get_legend_handles_labels()
    legend = axes.figure.legend(
        handles,
        labels,
        loc="outside lower left",
        ncols=min(columns, len(labels)),
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
