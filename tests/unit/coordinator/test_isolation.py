"""A blamed chunk is split so that nobody is lost and the culprit is found."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchflow.coordinator.isolation import isolate


def rows(count: int) -> pa.Table:
    return pa.table({"#seq": range(count)})


def seqs(parts: tuple[pa.Table, ...]) -> list[int]:
    return [seq for part in parts for seq in part["#seq"].to_pylist()]


def test_a_known_row_is_the_only_suspect() -> None:
    parts = isolate(rows(10), 4)

    assert seqs(parts.suspects) == [4]
    assert seqs(parts.innocent) == [0, 1, 2, 3, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("row", [0, 9])
def test_a_known_row_at_an_end_leaves_no_empty_part(row: int) -> None:
    parts = isolate(rows(10), row)

    assert all(part.num_rows for part in parts.innocent)


def test_without_a_known_row_both_halves_are_suspect() -> None:
    parts = isolate(rows(5), None)

    assert [part.num_rows for part in parts.suspects] == [3, 2]
    assert parts.innocent == ()


@given(st.integers(1, 300), st.sets(st.integers(0, 299), max_size=5))
def test_halving_finds_the_culprits_in_few_calls(count: int, culprits: set[int]) -> None:
    culprits = {culprit for culprit in culprits if culprit < count}
    pending, found, calls = [rows(count)], set[int](), 0
    while pending:
        part = pending.pop()
        calls += 1
        guilty = culprits & set(part["#seq"].to_pylist())
        if guilty and part.num_rows == 1:
            found |= guilty
        elif guilty:
            pending += isolate(part, None).suspects

    assert found == culprits
    assert calls <= 1 + 2 * len(culprits) * (count.bit_length() + 1)
