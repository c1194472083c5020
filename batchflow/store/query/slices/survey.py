"""Dividing each feature into values that are frequent, or into ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Final

import numpy as np

from batchflow.store.query.slices.compared import BLOCKS_PER_SAMPLE, CHOSEN, Compared, Sizes
from batchflow.store.query.slices.conditions import has_nan
from batchflow.store.query.slices.divided import Divided
from batchflow.store.query.slices.features import WIDE_TYPES, Feature, Shape

if TYPE_CHECKING:
    import pyarrow as pa

# The ends of ranges, as shares of the runs. Few runs often have the highest or lowest values.
_ENDS: Final = (
    *(0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    *(0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999),
)
_MOST_VALUES: Final = 60
# Of a column of ids, no value is frequent.
_FEW_VALUES: Final = 100
_MOSTLY: Final = 0.95
# In a part of the runs, all but a few values of an id are different.
_NEARLY: Final = 0.99
_ENOUGH_RUNS: Final = 1_000
# Longer texts aren't read, and no SQL text has the character 0.
_MOST_CHARACTERS: Final = 200
_NUL: Final = "\0"
_NAN: Final = "nan"
# A query may not have more than so many expressions.
_FEATURES_PER_QUERY: Final = 300
# Each join takes some megabytes of DuckDB's memory.
_JOINS_PER_QUERY: Final = 40


def divide(compared: Compared, sizes: Sizes, features: Sequence[Feature]) -> list[Divided]:
    """Return the features with their frequent values or their ranges."""
    ids = _ids(compared, sizes, features)
    ends: dict[Feature, list[str] | None] = dict.fromkeys(ids)
    for shape, where in ((Shape.VALUES, CHOSEN), (Shape.RANGES, "true")):
        read = [each for each in features if each.shape is shape and each not in ids]
        for some in _in_batches(read):
            found = compared.query(compared.sampled, [_ends_of(each) for each in some], where=where)
            [row] = found.fetchall()
            ends.update(zip(some, row, strict=True))
    return [Divided(each, _distinct(each, ends[each] or ())) for each in features]


def _ids(compared: Compared, sizes: Sizes, features: Sequence[Feature]) -> frozenset[Feature]:
    """Return columns of texts that are ids, as a few blocks of runs show: no value is frequent.

    To decompress such a column takes longer than all else.
    """
    texts = [each for each in features if each.sql_type in WIDE_TYPES]
    if not texts or not sizes.are_sampled or sizes.chosen < BLOCKS_PER_SAMPLE * _ENOUGH_RUNS:
        return frozenset()
    counts = [f"count({each.expression})" for each in texts]
    counts += [f"count(DISTINCT {each.expression})" for each in texts]
    [row] = compared.query(compared.in_blocks, counts, where=CHOSEN).fetchall()
    pairs = zip(texts, row[: len(texts)], row[len(texts) :], strict=True)
    return frozenset(
        each for each, runs, values in pairs if runs >= _ENOUGH_RUNS and values >= _NEARLY * runs
    )


def _ends_of(feature: Feature) -> str:
    value = feature.expression
    if feature.shape is Shape.RANGES:
        return f"quantile_disc({value}, {[0.0, *_ENDS]})::VARCHAR[]"
    return (
        f"CASE WHEN approx_count_distinct({value}) < greatest({_FEW_VALUES}, "
        f"{_MOSTLY} * count({value})) THEN approx_top_k({value}, {_MOST_VALUES})::VARCHAR[] END"
    )


def frequent_values(counts: np.ndarray) -> np.ndarray:
    """Return the places of the most frequent values, by the runs that have each; none of ids."""
    found = np.flatnonzero(counts)
    if len(found) >= max(_FEW_VALUES, _MOSTLY * counts.sum()):
        return found[:0]
    most: np.ndarray = found[np.argsort(-counts[found], kind="stable")][:_MOST_VALUES]
    return most


def _distinct(feature: Feature, ends: Sequence[str]) -> tuple[str, ...]:
    # NaN has a code of its own: DuckDB orders it after all numbers.
    is_nan = _NAN if has_nan(feature.sql_type) else None
    distinct = tuple(each for each in dict.fromkeys(ends) if each != is_nan)
    if feature.shape is Shape.RANGES:
        # The lowest range has no first value.
        return distinct[1:]
    return tuple(each for each in distinct if len(each) <= _MOST_CHARACTERS and _NUL not in each)


def _in_batches(features: Sequence[Feature]) -> Iterator[Sequence[Feature]]:
    for start in range(0, len(features), _FEATURES_PER_QUERY):
        yield features[start : start + _FEATURES_PER_QUERY]


@dataclass(frozen=True)
class Codes:
    """The codes of the compared runs, or of a sample of them.

    Attributes:
        seqs: The sequence number of each run; int64.
        chosen: Whether each run is one of the chosen; bool.
        columns: The codes of each feature; uint8.
        weight: How many runs of the rest stand for one chosen run that was sampled as they were.
    """

    seqs: np.ndarray
    chosen: np.ndarray
    columns: tuple[np.ndarray, ...]
    weight: float

    def without(self, covered: np.ndarray) -> Codes:
        """Return the codes of the other runs."""
        kept = ~covered
        columns = tuple(each[kept] for each in self.columns)
        return Codes(self.seqs[kept], self.chosen[kept], columns, self.weight)


def read_codes(compared: Compared, sizes: Sizes, features: Sequence[Divided]) -> Codes:
    """Return the codes of all features."""
    tables = [
        _codes_of(compared, features[start : start + _JOINS_PER_QUERY])
        for start in range(0, max(1, len(features)), _JOINS_PER_QUERY)
    ]
    columns = _aligned(tables) if len(tables) > 1 else _arrays(tables[0])
    chosen = columns[1].astype(bool)
    codes = tuple(each.astype(np.uint8, copy=False) for each in columns[2:])
    return Codes(columns[0], chosen, codes, _weight(sizes, chosen))


def _codes_of(compared: Compared, features: Sequence[Divided]) -> pa.Table:
    """Return ``seq``, whether it is chosen, and its codes."""
    expressions = ["runs.seq", f"{CHOSEN} AS chosen"]
    expressions += [f"{each.code(at)} AS code_{at}" for at, each in enumerate(features)]
    joins = "".join(each.join(at) for at, each in enumerate(features))
    text = f"SELECT {', '.join(expressions)} FROM (\n{compared.sampled}\n) AS runs{joins}"
    return compared.whole(text).to_arrow_table()


def _aligned(tables: Sequence[pa.Table]) -> list[np.ndarray]:
    """Return the columns of several tables, of the runs that all of them have."""
    read = [_arrays(table) for table in tables]
    both = partial(np.intersect1d, assume_unique=True)
    seqs = reduce(both, (seq for seq, *_ in read))
    columns = [seqs]
    for at, (seq, chosen, *codes) in enumerate(read):
        order = seq.argsort()
        rows = order[np.searchsorted(seq, seqs, sorter=order)]
        columns += [each[rows] for each in ([chosen, *codes] if at == 0 else codes)]
    return columns


def _arrays(table: pa.Table) -> list[np.ndarray]:
    return [np.asarray(column.to_numpy()) for column in table.columns]


def _weight(sizes: Sizes, chosen: np.ndarray) -> float:
    sampled = int(chosen.sum())
    rest = len(chosen) - sampled
    if not sampled or not rest:
        return 1.0
    return (sizes.rest / rest) / (sizes.chosen / sampled)
