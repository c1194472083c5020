"""Features that other tables list for ranges of runs: the file of each run, and its worker.

A join would sort all runs of the sample, and their sequence numbers are known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from batchflow.store.query.relation import Relation
from batchflow.store.query.slices.compared import Compared
from batchflow.store.query.slices.divided import FIRST, NULL, OTHER, Divided
from batchflow.store.query.slices.features import Feature
from batchflow.store.query.slices.survey import Codes, frequent_values

_NO_RANGE = -1


def with_listed(
    compared: Compared, features: Sequence[Feature], divided: Sequence[Divided], codes: Codes
) -> tuple[list[Divided], Codes]:
    """Return divided features and their codes with those that other tables list.

    Args:
        compared: The compared runs.
        features: All features, in the order in which they are returned.
        divided: Those of them that the runs have themselves.
        codes: The codes of these.
    """
    of_feature = dict(zip((each.feature for each in divided), codes.columns, strict=True))
    by_feature = {each.feature: each for each in divided}
    for feature in features:
        if feature.listed is not None:
            by_feature[feature], of_feature[feature] = _listed(compared, feature, codes)
    order = [feature for feature in features if feature in by_feature]
    columns = tuple(of_feature[feature] for feature in order)
    return [by_feature[feature] for feature in order], replace(codes, columns=columns)


def _listed(compared: Compared, feature: Feature, codes: Codes) -> tuple[Divided, np.ndarray]:
    values, places = _located(compared, feature, codes.seqs)
    counts = np.bincount(places[codes.chosen & (places != _NO_RANGE)], minlength=len(values))
    frequent = frequent_values(counts)
    divided = Divided(feature, tuple(values[place] for place in frequent))
    # The last one is of runs in no range.
    code_of = np.full(len(values) + 1, OTHER, dtype=np.uint8)
    code_of[frequent] = np.arange(FIRST, FIRST + len(frequent))
    code_of[_NO_RANGE] = NULL
    return divided, code_of[places]


def _located(
    compared: Compared, feature: Feature, seqs: np.ndarray
) -> tuple[Sequence[str], np.ndarray]:
    """Return the values, and for each run the place of its own: that of the last range before."""
    assert feature.listed is not None
    rows, value = feature.listed
    ranges = Relation(
        compared.source,
        f"SELECT first_seq, last_seq, {value} AS value {rows} AND first_seq IS NOT NULL "
        f"AND {value} IS NOT NULL ORDER BY first_seq",
    ).to_arrow_table()
    first, last = (ranges[name].to_numpy() for name in ("first_seq", "last_seq"))
    encoded = ranges["value"].combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    at = np.searchsorted(first, seqs, side="right") - 1
    within = (at >= 0) & (seqs <= np.append(last, 0)[at])
    places = np.append(encoded.indices.to_numpy(), 0).astype(np.int64)[at]
    return encoded.dictionary.to_pylist(), np.where(within, places, _NO_RANGE)
