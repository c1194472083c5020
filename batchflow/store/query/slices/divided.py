"""A feature divided into a few small integers, and the conditions over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from batchflow.store.query.slices import conditions
from batchflow.store.query.slices.features import ENUM, Feature, Shape
from batchflow.store.schema.layout import literal

# The codes of every feature. Those of its values or ranges follow.
NULL: Final = 0
OTHER: Final = 1
FIRST: Final = 2


@dataclass(frozen=True)
class Part:
    """The codes of one condition.

    Attributes:
        codes: Its codes, in ascending order.
        is_range: Whether they are neighbouring ranges, whose ends can be moved.
    """

    codes: tuple[int, ...]
    is_range: bool = False


@dataclass(frozen=True)
class Divided:
    """A feature whose values have codes.

    Attributes:
        feature: The feature.
        ends: The values that have a code, as DuckDB prints them; or the first values of all ranges
            but the lowest.
    """

    feature: Feature
    ends: tuple[str, ...]

    @property
    def _is_ranges(self) -> bool:
        return self.feature.shape is Shape.RANGES

    @property
    def size(self) -> int:
        """How many codes there are."""
        return FIRST + len(self.ends) + (1 if self._is_ranges else 0)

    def code(self, place: int) -> str:
        """Return the SQL of the code; `join` provides the table of this place."""
        expression = self.feature.expression
        if not self._is_ranges:
            other = f"CASE WHEN {expression} IS NULL THEN {NULL} ELSE {OTHER} END"
            joined = f"_codes{place}._batchflow_code, " if self.ends else ""
            return f"coalesce({joined}{other})::UTINYINT"
        missing = f"WHEN {expression} IS NULL THEN {NULL}"
        if conditions.has_nan(self.feature.sql_type):
            missing += f" WHEN isnan({expression}) THEN {OTHER}"
        ranges = self._search(0, len(self.ends))
        return f"(CASE {missing} ELSE {ranges} END)::UTINYINT"

    def join(self, place: int) -> str:
        """Return the SQL that joins the codes of values; empty for ranges."""
        if self._is_ranges or not self.ends:
            return ""
        # Texts of numbers would take most of the time; the names of an ENUM have no other type.
        kind = self.feature.sql_type.replace(ENUM, "VARCHAR")
        texts = ", ".join(literal(text) for text in self.ends)
        codes = ", ".join(str(FIRST + at) for at in range(len(self.ends)))
        # Two texts may be one value, such as 0.0 and -0.0.
        return (
            " LEFT JOIN (SELECT _batchflow_value, min(code) AS _batchflow_code FROM "
            f"(SELECT unnest([{texts}]::{kind}[]) AS _batchflow_value, unnest([{codes}]) AS code) "
            f"GROUP BY ALL) AS _codes{place} "
            f"ON _codes{place}._batchflow_value = {self.feature.expression}::{kind}"
        )

    def _search(self, low: int, high: int) -> str:
        """Return nested comparisons that find the range of a value, by halves."""
        if low == high:
            return str(FIRST + low)
        middle = (low + high) // 2
        end = conditions.value_literal(self.ends[middle], self.feature.sql_type)
        return (
            f"CASE WHEN {self.feature.expression} < {end} THEN {self._search(low, middle)} "
            f"ELSE {self._search(middle + 1, high)} END"
        )

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The codes of each condition; the simplest come first."""
        last = self.size - 1
        found = [Part((NULL,)), Part(tuple(range(OTHER, self.size)))]
        if not self._is_ranges:
            return (*found, *(Part((code,)) for code in range(FIRST, self.size)))
        if conditions.has_nan(self.feature.sql_type):
            found.append(Part((OTHER,)))
        pairs = [(low, high) for low in range(FIRST, last + 1) for high in range(low, last + 1)]
        pairs.sort(key=lambda pair: (pair[0] != FIRST) + (pair[1] != last))
        return (
            *found,
            *(
                Part(tuple(range(low, high + 1)), is_range=True)
                for low, high in pairs
                if (low, high) != (FIRST, last) or conditions.has_nan(self.feature.sql_type)
            ),
        )

    def counted(self, cells: np.ndarray) -> np.ndarray:
        """Return the sums over the codes of each condition; `cells` has a row for each code."""
        before = np.concatenate([np.zeros_like(cells[:1]), cells.cumsum(axis=0)])
        summed: np.ndarray = before[self._behind] - before[self._first]
        return summed

    @cached_property
    def _first(self) -> np.ndarray:
        return np.array([part.codes[0] for part in self.parts])

    @cached_property
    def _behind(self) -> np.ndarray:
        return np.array([part.codes[-1] + 1 for part in self.parts])

    def sql(self, part: Part, *, has_nan: bool, of_many: bool = False) -> str:
        """Return a condition as SQL that is read easily, or is evaluated fast for many runs."""
        subject, kind = self.feature.subject, self.feature.sql_type
        if self.feature.listed is not None:
            return self._listed(part, *self.feature.listed, of_many=of_many)
        if part.codes == (NULL,):
            return f"{subject} IS NULL"
        if OTHER in part.codes:
            is_nan = part.codes == (OTHER,) and self._is_ranges
            return f"isnan({subject})" if is_nan else f"{subject} IS NOT NULL"
        if not self._is_ranges:
            return conditions.equal_to(subject, self.ends[part.codes[0] - FIRST], kind)
        first, end = self.bounds(part)
        return conditions.within(subject, first, end, kind, without_nan=has_nan)

    def bounds(self, part: Part) -> tuple[str | None, str | None]:
        """Return the first value of neighbouring ranges, and the first one after them."""
        low, high = part.codes[0] - FIRST, part.codes[-1] - FIRST
        return (
            self.ends[low - 1] if low > 0 else None,
            self.ends[high] if high < len(self.ends) else None,
        )

    def _listed(self, part: Part, rows: str, value: str, *, of_many: bool) -> str:
        """Return a condition on what another table has for ranges of runs."""
        if part.codes != (NULL,) and OTHER not in part.codes:
            has_value = f" AND {value} = {literal(self.ends[part.codes[0] - FIRST])}"
        else:
            has_value = ""
        if of_many:
            found = conditions.in_ranges(f"{rows}{has_value}")
        else:
            found = f"EXISTS ({rows} AND seq BETWEEN first_seq AND last_seq{has_value})"
        return f"NOT {found}" if part.codes == (NULL,) else found
