"""How the answer of a question is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from batchflow.chart.plot import Plot
from batchflow.errors import PlotError

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

Draw: TypeAlias = "Callable[[Axes, pa.Table], None]"
"""Draws the rows of an answer."""


@dataclass(frozen=True)
class Chart:
    """A kind of picture.

    Attributes:
        title: what stands above it.
        draw: draws rows that have the columns of its question.
        size: how wide and high it is for some rows, in inches.
    """

    title: str
    draw: Draw
    size: Callable[[pa.Table], tuple[float, float]]

    def of(self, workflow: str) -> Chart:
        """Return the same for one workflow, named in the title."""
        return replace(self, title=f"{workflow}: {self.title}")

    def plot(self, rows: pa.Table) -> Plot:
        """Draw rows.

        Raises:
            PlotError: matplotlib isn't installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise PlotError(
                "Plots need matplotlib, which isn't installed. Run: pip install matplotlib"
            ) from error
        from batchflow.chart.style import said_instead, titled

        figure = Figure(figsize=self.size(rows), layout="constrained")
        axes = figure.subplots()
        titled(axes, self.title)
        if rows.num_rows:
            self.draw(axes, rows)
        else:
            said_instead(axes, "nothing to show yet")
        return Plot(figure, self.title)
