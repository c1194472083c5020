"""The score of a slice, and the probability that chance alone has it."""

from __future__ import annotations

from math import comb, exp, lgamma

import numpy as np
import pytest

from batchflow.store.query.slices.score import significance


def at_least(inside: int, runs: int, of_chosen: int, of_runs: int) -> float:
    """Return the probability that so many of as many randomly chosen runs are in a slice."""
    ways = sum(
        comb(runs, many) * comb(of_runs - runs, of_chosen - many)
        for many in range(inside, min(runs, of_chosen) + 1)
    )
    return ways / comb(of_runs, of_chosen)


@pytest.mark.parametrize(("of_chosen", "of_runs"), [(50, 60), (5, 60), (30, 60), (7, 9)])
def test_significance_is_that_of_chance_and_never_more(of_chosen: int, of_runs: int) -> None:
    for runs in range(1, of_runs):
        least, most = max(0, runs - (of_runs - of_chosen)), min(runs, of_chosen)
        inside = np.arange(least, most + 1)
        found = significance(inside, np.full(len(inside), runs), of_chosen, of_runs)
        for many, score in zip(inside.tolist(), found.tolist(), strict=True):
            chance = at_least(many, runs, of_chosen, of_runs)
            assert exp(-score) >= chance * (1 - 1e-9)
            if chance < 0.01:
                assert exp(-score) <= chance * 1.5


def test_the_most_that_is_sampled_has_no_rounding_errors_that_matter() -> None:
    """None of the rest is in the slice, so there is one way among all."""
    [score] = significance(np.array([200_000]), np.array([200_000]), 200_000, 400_000)

    expected = lgamma(400_001) - 2 * lgamma(200_001)
    assert score == pytest.approx(expected, abs=1e-3)
