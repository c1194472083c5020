"""The rows of a question that a picture says more of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchflow.store.query.relation import Params, Relation, Source

if TYPE_CHECKING:
    from batchflow.chart import Chart, Plot


class PlottableRelation(Relation):
    """A relation that can be drawn, also when it was filtered, sorted or limited."""

    def __init__(self, source: Source, query: str, chart: Chart, params: Params = None) -> None:
        super().__init__(source, query, params)
        self._chart = chart

    def plot(self) -> Plot:
        """Draw the rows.

        A notebook shows the picture; ``.save("counts.svg")`` or ``.png`` writes it to a file, and
        ``.figure`` is matplotlib's, to go on with.

        Raises:
            PlotError: matplotlib isn't installed.
            QueryError: DuckDB fails at the query.
        """
        return self._chart.plot(self.to_arrow_table())
