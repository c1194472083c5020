"""The rows of the speed table: what was measured, its floor, the bar, and the verdict."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MICROSECONDS = 1_000_000
MILLISECONDS = 1_000
HEADINGS = ("measured", "figure", "floor", "ratio", "to reach", "verdict")


class Unit(enum.Enum):
    """What a row's figures are, and how they are written."""

    SECONDS = "s"
    SECONDS_A_RUN = "s a run"
    MEGABYTES = "MB"

    def written(self, value: float) -> str:
        """Write a figure as people read it."""
        if self is Unit.MEGABYTES:
            return f"{value:,.0f} MB"
        if self is Unit.SECONDS_A_RUN:
            return f"{value * MICROSECONDS:.2f} µs a run"
        return f"{value:.2f} s" if value >= 1 else f"{value * MILLISECONDS:.1f} ms"


class Against(enum.Enum):
    """How a figure is held against its floor."""

    TIMES_FASTER = "at least {limit:g} times as fast"
    TIMES_AS_LONG = "at most {limit:g} times as long"
    MORE = "at most {written} more"
    ALONE = "under {written}"
    NOTHING = ""


@dataclass(frozen=True)
class Bar:
    """What a row has to reach."""

    against: Against
    limit: float = 0.0

    def written(self, unit: Unit) -> str:
        """Write the bar as a phrase."""
        return self.against.value.format(limit=self.limit, written=unit.written(self.limit))

    def reached(self, figure: float, floor: float) -> bool:
        """Tell whether a figure reaches the bar."""
        match self.against:
            case Against.TIMES_FASTER:
                return floor >= self.limit * figure
            case Against.TIMES_AS_LONG:
                return figure <= self.limit * floor
            case Against.MORE:
                return figure - floor <= self.limit
            case Against.ALONE:
                return figure < self.limit
            case Against.NOTHING:
                return True


@dataclass(frozen=True)
class Row:
    """One line of the table, from the medians of its samples.

    Attributes:
        name: what was measured.
        bar: what it has to reach.
        figures: one for each round, in `unit`.
        floors: the floor's, taken in the same rounds; empty where the bar stands alone.
        runs: how many runs were moved, where a rate says more than a time.
    """

    name: str
    bar: Bar
    figures: Sequence[float]
    floors: Sequence[float] = ()
    unit: Unit = Unit.SECONDS
    runs: int | None = None

    @property
    def figure(self) -> float:
        """The median of what was measured."""
        return statistics.median(self.figures)

    @property
    def floor(self) -> float:
        """The median of the floor; 0.0 where there is none."""
        return statistics.median(self.floors) if self.floors else 0.0

    def cells(self) -> tuple[str, ...]:
        """Write the row's cells, under `HEADINGS`."""
        bar = self.bar.written(self.unit)
        reached = "reached" if self.bar.reached(self.figure, self.floor) else "short"
        return (
            self.name,
            self._with_rate(self.figure),
            self._with_rate(self.floor) if self.floors else "–",
            self._ratio(),
            bar or "–",
            reached if bar else "–",
        )

    def _with_rate(self, value: float) -> str:
        rate = f" ({self.runs / value:,.0f} runs/s)" if self.runs else ""
        return self.unit.written(value) + rate

    def _ratio(self) -> str:
        if not self.floor:
            return "–"
        match self.bar.against:
            case Against.TIMES_FASTER:
                return f"{self.floor / self.figure:.2f} ×"
            case Against.MORE:
                sign = "+" if self.figure >= self.floor else "-"
                return sign + self.unit.written(abs(self.figure - self.floor))
            case _:
                return f"{self.figure / self.floor:.2f} ×"


def markdown(rows: Sequence[Row]) -> str:
    """Draw the rows as a Markdown table whose columns line up."""
    table = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_line(cells, widths) for cells in table]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"
