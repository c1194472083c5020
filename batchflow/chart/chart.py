"""A kind of chart."""

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
"""Draws the rows of a query result."""


@dataclass(frozen=True)
class Chart:
    """A kind of chart.

    Attributes:
        title: The title above the chart.
        draw: Draws rows that have the columns of the chart's query.
        size: Returns the width and height in inches for some rows.
    """

    title: str
    draw: Draw
    size: Callable[[pa.Table], tuple[float, float]]

    def of(self, workflow: str) -> Chart:
        """Return the same chart with the name of the workflow in the title."""
        return replace(self, title=f"{workflow}: {self.title}")

    def plot(self, rows: pa.Table) -> Plot:
        """Return a plot of the rows.

        Raises:
            PlotError: matplotlib isn't installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise PlotError(
                "Plots need matplotlib, which isn't installed. Run: pip install matplotlib"
            ) from error
        from batchflow.chart.style import set_title, write_instead

        figure = Figure(figsize=self.size(rows), layout="constrained")
        axes = figure.subplots()
        set_title(axes, self.title)
        if rows.num_rows:
            self.draw(axes, rows)
        else:
            write_instead(axes, "No data yet")
        return Plot(figure, self.title)
