"""Many causes that are planted in random orders, and many random selections of runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import batchflow as bf
from kit.effort import examples
from kit.slices import at_random, failed, orders, planted, random_orders

RUNS = 20_000
# Among all that are compared, chance alone may have a slice of fewer runs.
LEAST_RUNS = 30
_SEEDS = st.integers(0, 2**32 - 1)
# Of a condition, its column.
_COLUMN = re.compile(r"[a-z.]+")


@pytest.fixture(scope="module")
def engine() -> Iterator[bf.Engine]:
    """Return an engine with random orders."""
    with bf.Engine(":memory:", orders(), workers=0) as engine:
        loaded = random_orders(RUNS, np.random.default_rng(1))
        engine.trigger_many(loaded, foreign_id="order_id")
        yield engine


@examples(5)
@given(seed=_SEEDS)
def test_a_planted_cause_of_two_columns_comes_first(engine: bf.Engine, seed: int) -> None:
    random = np.random.default_rng(seed)
    conditions = planted(random)
    assume(len(engine.runs(" AND ".join(conditions))) >= LEAST_RUNS)

    lines = engine.explain(failed(" AND ".join(conditions), random)).select("slice").fetchall()

    found = {column_of(text) for text in lines[0][0].split(" AND ")}
    assert found == {column_of(text) for text in conditions}


@examples(5)
@given(seed=_SEEDS)
def test_a_random_selection_has_no_line(engine: bf.Engine, seed: int) -> None:
    selection = at_random(RUNS, np.random.default_rng(seed))

    assert engine.explain(selection).fetchall() == []


def column_of(condition: str) -> str:
    found = _COLUMN.match(condition)
    assert found is not None
    return found[0]
