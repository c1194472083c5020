"""Moving the ends of the ranges of a slice to where they separate the runs best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from batchflow.store.query.slices.compared import CHOSEN, Compared
from batchflow.store.query.slices.conditions import has_nan, value_literal, within
from batchflow.store.query.slices.divided import FIRST, OTHER, Divided, Part
from batchflow.store.query.slices.round_ends import round_end
from batchflow.store.query.slices.search import FoundSlice, SliceSearch


@dataclass(frozen=True)
class RefinedSlice:
    """A slice whose ends were moved.

    Attributes:
        sql: The predicate.
        counted: The same predicate as SQL that is evaluated fast for many runs.
        found: The slice with all ranges that it touches.
    """

    sql: str
    counted: str
    found: FoundSlice


@dataclass(frozen=True)
class _Values:
    """The values around a range, in their order; those well within the range are one of them."""

    texts: Sequence[str]
    codes: np.ndarray
    chosen: np.ndarray
    runs: np.ndarray


class Refining:
    """Moves the ends of slices.

    Args:
        compared: The compared runs.
        features: The features.
    """

    def __init__(self, compared: Compared, features: Sequence[Divided]) -> None:
        self._compared = compared
        self._features = features

    def refined(
        self, found: FoundSlice, search: SliceSearch, earlier: Sequence[RefinedSlice]
    ) -> RefinedSlice:
        """Return a slice with moved ends; the runs of the slices before it are set aside."""
        set_aside = [f"({each.counted}) IS NOT TRUE" for each in earlier]
        parts = list(found.parts)
        texts, counted = (
            [
                self._features[place].sql(
                    part, has_nan=search.has_code(place, OTHER), of_many=of_many
                )
                for place, part in parts
            ]
            for of_many in (False, True)
        )
        for at, (place, part) in enumerate(found.parts):
            if part.is_range:
                others = [f"({text})" for other, text in enumerate(counted) if other != at]
                ends = _Ends(self._features[place], part)
                ends.move(self._values(ends, [*others, *set_aside]), search)
                texts[at] = counted[at] = ends.sql(has_nan=search.has_code(place, OTHER))
                parts[at] = (place, ends.touched)
        moved = replace(found, parts=tuple(parts))
        return RefinedSlice(" AND ".join(texts), " AND ".join(counted), moved)

    def _values(self, ends: _Ends, among: Sequence[str]) -> _Values:
        where = " AND ".join([ends.neighbourhood, *among])
        counted = (f"count(*) FILTER ({CHOSEN}) AS chosen", "count(*) AS runs")
        inner = self._compared.query(
            self._compared.sampled,
            [f"{ends.value} AS value", f"{ends.code} AS code", *counted],
            "GROUP BY ALL ORDER BY value",
            where,
        )
        table = inner.select("value::VARCHAR AS value", "code", "chosen", "runs").to_arrow_table()
        code, chosen, runs = (table[name].to_numpy() for name in ("code", "chosen", "runs"))
        return _Values(table["value"].to_pylist(), code.astype(int) - FIRST, chosen, runs)


class _Ends:
    """The ends of the ranges of one feature, while they are moved."""

    def __init__(self, divided: Divided, part: Part) -> None:
        self._divided = divided
        self._low, self._high = part.codes[0] - FIRST, part.codes[-1] - FIRST
        self._first, self._end = divided.bounds(part)
        self._touched = (self._low, self._high)

    @property
    def touched(self) -> Part:
        """The ranges that have values between the ends."""
        low, high = self._touched
        return Part(tuple(range(FIRST + low, FIRST + high + 1)), is_range=True)

    @property
    def neighbourhood(self) -> str:
        """The condition that chooses the ranges and their neighbours."""
        first = None if self._first is None else self._start(self._low - 1)
        end = None if self._end is None else self._start(self._high + 2)
        return f"({self._within(self._divided.feature.expression, first, end)})"

    @property
    def value(self) -> str:
        """The expression of the values, of which those within the outer ranges are one."""
        feature = self._divided.feature
        inner = self._start(self._low + 1)
        if self._high - self._low < 2 or inner is None:
            return feature.expression
        within = self._within(feature.expression, inner, self._start(self._high))
        kept = value_literal(inner, feature.sql_type)
        return f"CASE WHEN {within} THEN {kept} ELSE {feature.expression} END"

    @property
    def code(self) -> str:
        """The expression of the codes of values."""
        return self._divided.code(0)

    def sql(self, *, has_nan: bool) -> str:
        """Return the condition with the moved ends."""
        feature = self._divided.feature
        return within(
            feature.subject, self._first, self._end, feature.sql_type, without_nan=has_nan
        )

    def move(self, values: _Values, search: SliceSearch) -> None:
        """Move the ends between values, one after the other, to where the score is highest."""
        low = int(np.searchsorted(values.codes, self._low))
        high = int(np.searchsorted(values.codes, self._high, side="right"))
        if low >= high:
            return
        chosen, runs = _summed(values.chosen), _summed(values.runs)
        # An end stays within its own range and the one outside of it.
        first_ends = np.arange(np.searchsorted(values.codes, self._low, side="right") + 1)
        last_ends = np.arange(np.searchsorted(values.codes, self._high), len(values.codes) + 1)
        given = low, high
        if self._first is not None:
            possible = first_ends[first_ends < high]
            low = int(
                possible[
                    search.scores(
                        chosen[high] - chosen[possible], runs[high] - runs[possible]
                    ).argmax()
                ]
            )
        if self._end is not None:
            possible = last_ends[last_ends > low]
            high = int(
                possible[
                    search.scores(
                        chosen[possible] - chosen[low], runs[possible] - runs[low]
                    ).argmax()
                ]
            )
        self._set(values, given, (low, high))

    def _set(self, values: _Values, given: tuple[int, int], moved: tuple[int, int]) -> None:
        (low, high), kind = moved, self._divided.feature.sql_type
        if self._first is not None and low != given[0]:
            self._first = (
                round_end(values.texts[low - 1], values.texts[low], kind)
                if low
                else self._start(self._low - 1)
            )
        if self._end is not None and high != given[1]:
            self._end = (
                round_end(values.texts[high - 1], values.texts[high], kind)
                if high < len(values.texts)
                else self._start(self._high + 2)
            )
        self._touched = (
            self._low - (low < given[0]),
            self._high + (high > given[1]),
        )

    def _start(self, place: int) -> str | None:
        """Return the first value of a range; None of the lowest, and of those that aren't there."""
        ends = self._divided.ends
        return ends[place - 1] if 1 <= place <= len(ends) else None

    def _within(self, expression: str, first: str | None, end: str | None) -> str:
        kind = self._divided.feature.sql_type
        return within(expression, first, end, kind, without_nan=has_nan(kind))


def _summed(counts: np.ndarray) -> np.ndarray:
    """Return how many runs come before each value, and before the end."""
    return np.concatenate([[0.0], counts.astype(float).cumsum()])
