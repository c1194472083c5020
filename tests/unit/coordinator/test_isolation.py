"""A blamed chunk is split so that nobody is lost and the culprit is found."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchflow.coordinator.isolation import Isolated, halved, isolate


def rows(count: int) -> pa.Table:
    return pa.table({"#seq": range(count)})


def seqs(parts: tuple[pa.Table, ...]) -> list[int]:
    return [seq for part in parts for seq in part["#seq"].to_pylist()]


def test_a_known_row_is_the_only_suspect() -> None:
    parts = isolate(rows(10), 4, suspect=False)

    assert seqs(parts.suspects) == [4]
    assert seqs(parts.innocent) == [0, 1, 2, 3, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("row", [0, 9])
def test_a_known_row_at_an_end_leaves_no_empty_part(row: int) -> None:
    parts = isolate(rows(10), row, suspect=False)

    assert all(part.num_rows for part in parts.innocent)


def test_among_suspects_those_beside_a_known_row_stay_suspect() -> None:
    parts = isolate(rows(10), 4, suspect=True)

    assert parts.suspects[0]["#seq"].to_pylist() == [4]
    assert sorted(seqs(parts.suspects)) == list(range(10))
    assert parts.innocent == ()


def test_without_a_known_row_a_half_is_suspect_and_the_other_if_that_one_is_innocent() -> None:
    parts = isolate(rows(5), None, suspect=False)

    assert seqs(parts.suspects) == [0, 1, 2]
    assert parts.otherwise is not None
    assert parts.otherwise["#seq"].to_pylist() == [3, 4]
    assert parts.innocent == ()


@given(st.integers(1, 300), st.sets(st.integers(0, 299), max_size=5))
def test_halving_finds_the_culprits_in_few_calls(count: int, culprits: set[int]) -> None:
    culprits = {culprit for culprit in culprits if culprit < count}
    pending: list[tuple[pa.Table, pa.Table | None]] = [(rows(count), None)]
    found, seen, calls = set[int](), list[int](), 0

    def isolated(parts: Isolated) -> None:
        pending.extend((part, parts.otherwise) for part in parts.suspects)

    while pending:
        part, otherwise = pending.pop()
        calls += 1
        guilty = culprits & set(part["#seq"].to_pylist())
        if guilty and otherwise is not None:
            pending.append((otherwise, None))
        elif otherwise is not None:
            isolated(halved(otherwise))
        if not guilty or part.num_rows == 1:
            found |= guilty
            seen += part["#seq"].to_pylist()
        else:
            isolated(isolate(part, None, suspect=True))

    assert found == culprits
    assert sorted(seen) == list(range(count))
    assert calls <= 1 + 2 * len(culprits) * count.bit_length()
