"""The conditions of slices that are evaluated for many runs."""

from __future__ import annotations

import duckdb
import pytest

from batchflow.store.query.slices.conditions import in_ranges

RUNS = 10_000


@pytest.mark.parametrize(
    "ranges",
    [
        # Within a block, exactly one, one with an end on either side, and the first run.
        [(5, 9), (1_024, 2_047), (3_000, 5_200), (0, 0)],
        # Overlapping, next to each other, and none known.
        [(10, 4_000), (2_000, 6_500), (6_501, 6_501), (None, None)],
        [(0, RUNS)],
        [],
    ],
)
def test_runs_are_in_the_ranges_that_have_them(ranges: list[tuple[int, int]]) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE chunks (worker TEXT, first_seq BIGINT, last_seq BIGINT)")
        connection.execute("INSERT INTO chunks VALUES ('other', 0, 9999)")
        for first, last in ranges:
            connection.execute("INSERT INTO chunks VALUES ('mine', ?, ?)", [first, last])

        condition = in_ranges("FROM chunks WHERE worker = 'mine'")
        found = connection.sql(f"SELECT seq FROM range({RUNS}) AS r(seq) WHERE {condition}")

        expected = {
            seq for first, last in ranges if first is not None for seq in range(first, last + 1)
        }
        assert {seq for (seq,) in found.fetchall()} == expected & set(range(RUNS))
