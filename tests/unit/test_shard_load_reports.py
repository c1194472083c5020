"""The loads of all shards from one source have one report."""

from __future__ import annotations

import pytest

from batchflow.operation import LoadReport
from batchflow.shards.load_reports import loads_of_all


def report(loaded: int, first_seq: int) -> LoadReport:
    return LoadReport("orders", "NEW", 0, loaded, first_seq, first_seq + loaded - 1)


@pytest.mark.parametrize(
    ("reports", "first_and_last"),
    [
        ([report(3, 40), report(5, 10)], (0, -1)),
        ([report(0, 40), report(5, 10)], (10, 14)),
        ([report(0, 40), report(0, 10)], (0, -1)),
    ],
    ids=["in two shards", "in one shard", "none"],
)
def test_only_the_new_runs_of_one_shard_are_a_range(
    reports: list[LoadReport], first_and_last: tuple[int, int]
) -> None:
    whole = loads_of_all(reports)
    assert (whole.first_seq, whole.last_seq) == first_and_last
    assert whole.loaded == sum(each.loaded for each in reports)
