"""What all charts look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from batchflow.chart.ink import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_INCHES: Final = 8.0
FAINT: Final = 0.25


def titled(axes: Axes, title: str) -> None:
    """Give axes their title, and our ink."""
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold", parse_math=False)
    axes.patch.set_visible(False)
    axes.tick_params(colors=INK, labelcolor=INK, labelsize=9, length=3)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)


def said_instead(axes: Axes, text: str) -> None:
    """Say why there is no picture."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=INK, transform=axes.transAxes)


def ruled(axes: Axes, direction: Literal["x", "y"]) -> None:
    """Draw faint lines across, at the ticks of one axis."""
    axes.grid(visible=True, axis=direction, color=INK, alpha=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def rows_named(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a horizontal chart, the first at the top."""
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def explained(axes: Axes, columns: int = 4) -> None:
    """Explain colours and marks below the chart, in the chart's ink."""
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


def beside(axes: Axes, x: float, row: float, text: str) -> None:
    """Write beside the end of a bar."""
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
