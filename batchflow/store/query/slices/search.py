"""The search for the slice of one or two conditions with the highest score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from batchflow.store.query.slices.divided import Divided, Part
from batchflow.store.query.slices.features import Shape
from batchflow.store.query.slices.score import (
    LEAST_RISK_RATIO,
    Totals,
    significance,
    threshold,
)
from batchflow.store.query.slices.survey import Codes


@dataclass(frozen=True)
class FoundSlice:
    """A slice.

    Attributes:
        score: Its score.
        parts: The place of each feature, and the condition on it.
    """

    score: float
    parts: tuple[tuple[int, Part], ...]


@dataclass(frozen=True)
class _SliceCounts:
    """The runs of each condition or pair of conditions.

    Attributes:
        chosen: The chosen runs that were sampled.
        sampled: All runs that were sampled.
        runs: All runs, if they were sampled as the chosen ones.
    """

    chosen: np.ndarray
    sampled: np.ndarray
    runs: np.ndarray

    def at(self, places: np.ndarray) -> _SliceCounts:
        """Return the counts of some of them."""
        return _SliceCounts(self.chosen[places], self.sampled[places], self.runs[places])


class SliceSearch:
    """Searches slices among runs.

    Args:
        features: The features.
        codes: Their codes.
        places: The features to search, by place.
    """

    def __init__(self, features: Sequence[Divided], codes: Codes, places: Sequence[int]) -> None:
        self._features = features
        self._codes = codes
        self._places = places
        self._chosen_columns = [each[codes.chosen] for each in codes.columns]
        self._chosen, self._sampled = int(codes.chosen.sum()), len(codes.chosen)
        rest = self._sampled - self._chosen
        self._totals = Totals(self._chosen, self._chosen + codes.weight * rest)

    def best(self, *, pairs: bool = True) -> FoundSlice | None:
        """Return the slice with the highest score, or None if chance alone explains all of them."""
        if not self._totals.least_chosen <= self._totals.chosen < self._totals.runs:
            return None
        best: FoundSlice | None = None
        for place in self._places:
            best = _higher(best, self._best_single(place))
        if pairs:
            for first, second in self._pairs():
                best = _higher(best, self._best_pair(first, second, best))
        return best

    def _best_single(self, place: int) -> FoundSlice | None:
        counts = self._singles[place]
        likely = self._is_candidate(counts) & self._is_significant(counts, self._least_single)
        scores = np.where(likely, self._scores(counts), 0.0)
        at = int(scores.argmax())
        if scores[at] < self._least_single:
            return None
        return FoundSlice(float(scores[at]), ((place, self._features[place].parts[at]),))

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """Yield pairs of features of different columns; those of likely conditions come first."""
        highest = {
            place: float(self._scores(self._singles[place]).max(initial=0.0))
            for place in self._places
        }
        found = [
            (first, second)
            for first, second in combinations(self._places, 2)
            if self._features[first].feature.column != self._features[second].feature.column
        ]
        found.sort(key=lambda pair: -highest[pair[0]] - highest[pair[1]])
        yield from found

    def _best_pair(self, first: int, second: int, best: FoundSlice | None) -> FoundSlice | None:
        """Return the best slice of two features, if its score is higher than the best so far."""
        least = max(self._least_pair, 0.0 if best is None else best.score)
        rows, columns = self._likely[first], self._likely[second]
        # A slice of two conditions has no more of the chosen runs than one of them alone.
        most = min(
            self._singles[place].chosen[at].max(initial=0.0)
            for place, at in ((first, rows), (second, columns))
        )
        if not self._may_exceed(np.array([most]), least).any():
            return None
        chosen = self._together(self._chosen_columns, first, second)[np.ix_(rows, columns)]
        at_row, at_column = np.nonzero(self._may_exceed(chosen, least))
        if not len(at_row):
            return None
        chosen, rows, columns = chosen[at_row, at_column], rows[at_row], columns[at_column]
        runs = self._together(self._codes.columns, first, second)[rows, columns]
        counts = self._weighted(chosen, runs)
        scores = np.where(self._is_candidate(counts), self._scores(counts), 0.0)
        better = np.flatnonzero(scores > least)
        if not len(better):
            return None
        scores, counts, rows, columns = (
            scores[better],
            counts.at(better),
            rows[better],
            columns[better],
        )
        adds = self._adds_to(counts, first, rows) & self._adds_to(counts, second, columns)
        scores[~(adds & self._is_significant(counts, self._least_pair))] = 0.0
        at = int(scores.argmax())
        if scores[at] <= 0.0:
            return None
        left, right = (
            self._features[first].parts[rows[at]],
            self._features[second].parts[columns[at]],
        )
        return FoundSlice(float(scores[at]), ((first, left), (second, right)))

    def _may_exceed(self, chosen: np.ndarray, least: float) -> np.ndarray:
        """Return whether the score of slices with so many chosen runs may be higher."""
        may: np.ndarray = self._totals.highest_scores(chosen) > least
        likely: np.ndarray = may & (chosen >= self._totals.least_chosen)
        return likely

    def _adds_to(self, counts: _SliceCounts, place: int, rows: np.ndarray) -> np.ndarray:
        """Return whether slices of two conditions do better than one of them alone."""
        alone = self._singles[place].at(rows)
        found = significance(counts.chosen, counts.sampled, alone.chosen, alone.sampled)
        chosen_out, runs_out = alone.chosen - counts.chosen, alone.runs - counts.runs
        risky = counts.chosen * runs_out >= LEAST_RISK_RATIO * chosen_out * counts.runs
        adds: np.ndarray = risky & (found >= self._least_single)
        return adds

    def covered(self, found: FoundSlice) -> np.ndarray:
        """Return which runs a slice has; bool."""
        covered = np.ones(len(self._codes.chosen), dtype=bool)
        for place, part in found.parts:
            has = np.zeros(256, dtype=bool)
            has[list(part.codes)] = True
            covered &= has[self._codes.columns[place]]
        return covered

    def has_code(self, place: int, code: int) -> bool:
        """Return whether a run has a code."""
        return bool((self._codes.columns[place] == code).any())

    def scores(self, chosen: np.ndarray, runs: np.ndarray) -> np.ndarray:
        """Return the scores of slices with so many chosen runs, of so many sampled runs in all."""
        return self._scores(self._weighted(chosen, runs))

    # Counting.

    @cached_property
    def _singles(self) -> dict[int, _SliceCounts]:
        return {place: self._single(place) for place in self._places}

    def _single(self, place: int) -> _SliceCounts:
        feature = self._features[place]
        chosen, runs = (
            feature.counted(np.bincount(columns[place], minlength=feature.size))
            for columns in (self._chosen_columns, self._codes.columns)
        )
        return self._weighted(chosen, runs)

    @cached_property
    def _likely(self) -> dict[int, np.ndarray]:
        """The places of the conditions that may be part of a slice of two."""
        return {
            place: np.flatnonzero(
                (counts.chosen >= self._totals.least_chosen) & (counts.runs < self._totals.runs)
            )
            for place, counts in self._singles.items()
        }

    def _weighted(self, chosen: np.ndarray, runs: np.ndarray) -> _SliceCounts:
        return _SliceCounts(chosen, runs, chosen + self._codes.weight * (runs - chosen))

    def _together(self, columns: Sequence[np.ndarray], first: int, second: int) -> np.ndarray:
        """Return how many runs have each pair of conditions."""
        left, right = self._features[first], self._features[second]
        keys = columns[first].astype(np.uint16)
        keys *= np.uint16(right.size)
        keys += columns[second]
        cells = np.bincount(keys, minlength=left.size * right.size).reshape(left.size, right.size)
        together: np.ndarray = right.counted(left.counted(cells).T).T
        return together

    def _scores(self, counts: _SliceCounts) -> np.ndarray:
        return self._totals.scores(counts.chosen, counts.runs)

    def _is_candidate(self, counts: _SliceCounts) -> np.ndarray:
        enough = counts.chosen >= self._totals.least_chosen
        candidates: np.ndarray = enough & self._totals.is_risky(counts.chosen, counts.runs)
        return candidates

    def _is_significant(self, counts: _SliceCounts, least: float) -> np.ndarray:
        found = significance(counts.chosen, counts.sampled, self._chosen, self._sampled)
        significant: np.ndarray = found >= least
        return significant

    # How many slices are compared.

    @cached_property
    def _least_single(self) -> float:
        return threshold(sum(self._tested))

    @cached_property
    def _least_pair(self) -> float:
        tested = np.asarray(self._tested)
        return threshold(float((tested.sum() ** 2 - (tested**2).sum()) / 2))

    @cached_property
    def _tested(self) -> list[float]:
        """How many conditions each feature might have had, whichever runs were chosen."""
        frequent = self._sampled / self._totals.least_chosen
        return [
            frequent
            if self._features[place].feature.shape is Shape.VALUES
            else float(len(self._features[place].parts))
            for place in self._places
        ]


def _higher(best: FoundSlice | None, found: FoundSlice | None) -> FoundSlice | None:
    if best is None or (found is not None and found.score > best.score):
        return found
    return best
