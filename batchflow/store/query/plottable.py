"""Rows that can be drawn as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchflow.operation.parameters import Params
from batchflow.store.query.relation import Question, Relation
from batchflow.store.query.source import Source

if TYPE_CHECKING:
    from batchflow.chart import Chart, Plot


class PlottableRelation(Relation):
    """A relation that can be drawn, also when it was filtered, sorted or limited."""

    def __init__(
        self,
        source: Source,
        query: str,
        chart: Chart,
        params: Params = None,
        question: Question | None = None,
    ) -> None:
        super().__init__(source, query, params, question)
        self._chart = chart

    def plot(self) -> Plot:
        """Draw the rows.

        A notebook shows the plot; ``.save("counts.svg")`` or ``.png`` writes it to a file, and
        ``.figure`` is a figure of matplotlib's that you can change.

        Raises:
            PlotError: matplotlib isn't installed.
            QueryError: DuckDB can't execute the query.
        """
        return self._chart.plot(self.to_arrow_table())
