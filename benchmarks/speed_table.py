"""The rows of the speed table: a measurement, its baseline, its target, and the result."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MICROSECONDS = 1_000_000
MILLISECONDS = 1_000
HEADINGS = ("measurement", "batchflow", "baseline", "ratio", "target", "result")


class Unit(enum.Enum):
    """The unit of a row's figures."""

    SECONDS = "s"
    SECONDS_PER_RUN = "s per run"
    MEGABYTES = "MB"

    def written(self, value: float) -> str:
        """Return a figure as text."""
        if self is Unit.MEGABYTES:
            return f"{value:,.0f} MB"
        if self is Unit.SECONDS_PER_RUN:
            return f"{value * MICROSECONDS:.2f} µs per run"
        return f"{value:.2f} s" if value >= 1 else f"{value * MILLISECONDS:.1f} ms"


class Comparison(enum.Enum):
    """How a figure is compared with its baseline."""

    TIMES_FASTER = "at least {limit:g} times as fast"
    TIMES_AS_LONG = "at most {limit:g} times as long"
    MORE = "at most {written} more"
    ALONE = "under {written}"
    NOTHING = ""


@dataclass(frozen=True)
class Target:
    """The figure that a row should reach."""

    against: Comparison
    limit: float = 0.0

    def written(self, unit: Unit) -> str:
        """Return the target as a phrase."""
        return self.against.value.format(limit=self.limit, written=unit.written(self.limit))

    def reached(self, figure: float, baseline: float) -> bool:
        """Return whether a figure reaches the target."""
        match self.against:
            case Comparison.TIMES_FASTER:
                return baseline >= self.limit * figure
            case Comparison.TIMES_AS_LONG:
                return figure <= self.limit * baseline
            case Comparison.MORE:
                return figure - baseline <= self.limit
            case Comparison.ALONE:
                return figure < self.limit
            case Comparison.NOTHING:
                return True


@dataclass(frozen=True)
class Row:
    """One line of the table, from the medians of its samples.

    Attributes:
        name: The measurement.
        target: The figure to reach.
        figures: One for each round, in `unit`.
        baselines: The baseline's, from the same rounds; empty if there is no baseline.
        unit: The unit of the figures.
        runs: The number of runs, if the table shows a rate too.
    """

    name: str
    target: Target
    figures: Sequence[float]
    baselines: Sequence[float] = ()
    unit: Unit = Unit.SECONDS
    runs: int | None = None

    @property
    def figure(self) -> float:
        """Return the median of batchflow's figures."""
        return statistics.median(self.figures)

    @property
    def baseline(self) -> float:
        """Return the median of the baseline; 0.0 if there is none."""
        return statistics.median(self.baselines) if self.baselines else 0.0

    def cells(self) -> tuple[str, ...]:
        """Return the row's cells, in the order of `HEADINGS`."""
        target = self.target.written(self.unit)
        result = "reached" if self.target.reached(self.figure, self.baseline) else "missed"
        return (
            self.name,
            self._with_rate(self.figure),
            self._with_rate(self.baseline) if self.baselines else "–",
            self._ratio(),
            target or "–",
            result if target else "–",
        )

    def _with_rate(self, value: float) -> str:
        rate = f" ({self.runs / value:,.0f} runs/s)" if self.runs else ""
        return self.unit.written(value) + rate

    def _ratio(self) -> str:
        if not self.baseline:
            return "–"
        match self.target.against:
            case Comparison.TIMES_FASTER:
                return f"{self.baseline / self.figure:.2f} ×"
            case Comparison.MORE:
                sign = "+" if self.figure >= self.baseline else "-"
                return sign + self.unit.written(abs(self.figure - self.baseline))
            case _:
                return f"{self.figure / self.baseline:.2f} ×"


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table with aligned columns."""
    table = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_line(cells, widths) for cells in table]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"
