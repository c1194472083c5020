"""A blamed chunk is split so that no run is lost and the culprit is found."""

from __future__ import annotations

import math
from collections import deque

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchflow.chunk.search import Search, calls_among
from batchflow.coordinator.isolation import Isolated, isolate
from batchflow.executor import LostChunk
from kit.effort import examples


def rows(count: int) -> pa.Table:
    return pa.table({"#seq": range(count)})


def seqs(part: pa.Table | None) -> list[int]:
    return [] if part is None else part["#seq"].to_pylist()


def lost(called: range | None, *, used: bool = False, error_type: str = "WorkerDied") -> LostChunk:
    return LostChunk(
        chunk_id=0,
        blamed=True,
        rows=called,
        error_type=error_type,
        cause="it died",
        used=used,
    )


def suspects(parts: Isolated) -> list[list[int]]:
    return [seqs(part.rows) for part in parts.suspects]


def test_in_a_shared_worker_only_the_runs_of_the_last_call_are_suspect() -> None:
    parts = isolate(rows(10), lost(range(4, 6)), None)

    assert suspects(parts) == [[4, 5]]
    assert seqs(parts.innocent) == [0, 1, 2, 3, 6, 7, 8, 9]
    assert parts.identified is None


def test_a_single_run_is_isolated_before_it_is_identified() -> None:
    parts = isolate(rows(1), lost(range(1)), None)

    assert suspects(parts) == [[0]]
    assert (parts.innocent, parts.identified) == (None, None)


def test_in_an_isolated_worker_runs_before_the_call_are_innocent_and_those_after_it_stay() -> None:
    parts = isolate(rows(10), lost(range(4, 6)), Search(10, 2))

    assert seqs(parts.innocent) == [0, 1, 2, 3]
    assert suspects(parts) == [[4, 5, 6, 7, 8, 9]]
    assert parts.suspects[0].search == Search(2, 1)
    assert parts.identified is None


def test_in_an_isolated_worker_a_run_whose_call_is_the_first_is_identified() -> None:
    parts = isolate(rows(10), lost(range(1)), Search(10, 1))

    assert seqs(parts.identified) == [0]
    assert parts.innocent is None
    assert suspects(parts) == [[1, 2, 3, 4, 5, 6, 7, 8, 9]]


def test_a_run_that_hangs_is_identified_whatever_was_called_before_it() -> None:
    hung = lost(range(4, 5), used=True, error_type="StepTimeout")

    assert seqs(isolate(rows(10), hung, Search(10, 1)).identified) == [4]


def test_a_run_is_identified_only_if_no_run_was_called_before_it() -> None:
    among_others = isolate(rows(3), lost(range(1, 2)), Search(3, 1))
    after_others = isolate(rows(1), lost(range(1), used=True), Search(1, 1))
    between_calls = isolate(rows(1), lost(None, used=True), Search(1, 1))
    by_itself = isolate(rows(1), lost(range(1)), Search(1, 1))

    assert among_others.identified is None
    assert suspects(among_others) == [[1], [2]]
    assert after_others.identified is None
    assert suspects(after_others) == [[0]]
    assert between_calls.identified is None
    assert suspects(between_calls) == [[0]]
    assert seqs(by_itself.identified) == [0]


def test_without_a_call_under_way_the_chunk_is_halved() -> None:
    shared = isolate(rows(5), lost(None), None)
    apart = isolate(rows(5), lost(None), Search(5, 1))

    assert suspects(shared) == [[0, 1, 2, 3, 4]]
    assert suspects(apart) == [[0, 1], [2, 3, 4]]
    assert seqs(isolate(rows(1), lost(None), Search(1, 1)).identified) == [0]


@pytest.mark.parametrize("count", [1, 2, 5, 16, 17, 300, 5_000, 65_536])
def test_the_parts_of_a_search_are_all_of_its_runs_in_order(count: int) -> None:
    for search in (Search.among(count), Search(count // 2, 2), Search(0, 1)):
        parts = list(search.parts(count))

        assert [start for start, _ in parts] == [0, *(stop for _, stop in parts[:-1])]
        assert parts[-1][1] == count


@examples(100)
@given(st.integers(1, 70_000), st.data())
def test_one_culprit_is_found_in_few_calls_and_fewer_ends_of_a_worker(
    count: int, data: st.DataObject
) -> None:
    culprit = data.draw(st.integers(0, count - 1))
    found, seen, ends, calls = search_through(count, {culprit})

    assert found == {culprit}
    assert sorted(seen) == list(range(count))
    # The last end proves that it needs no run before it.
    assert ends - 1 <= Search.among(count).crashes <= 1 + math.log2(count) / 4
    # As many as the plan allows, plus the runs around it: in parts that double, and at once.
    planned = calls_among(count, Search.among(count).crashes)
    assert calls <= planned + math.log2(count) + 9


@pytest.mark.parametrize("count", [2, 16, 128, 512, 4_096, 65_536])
def test_a_search_takes_fewer_calls_if_they_turn_out_to_be_slow(count: int) -> None:
    fast = Search.among(count)
    after_one_call = next(fast.parts(count))[1]
    slow = fast.after(after_one_call)

    assert slow.rows == count - after_one_call
    assert calls_among(slow.rows, slow.crashes) <= 2 + 2 * math.log2(count)


@examples(100)
@given(st.integers(1, 3_000), st.sets(st.integers(0, 2_999), max_size=20))
def test_several_culprits_are_found_and_no_other_run(count: int, culprits: set[int]) -> None:
    culprits = {culprit for culprit in culprits if culprit < count}
    found, seen, ends, _ = search_through(count, culprits)

    assert found == culprits
    assert sorted(seen) == list(range(count))
    # One more if a culprit among the runs that went back ends a shared worker.
    assert ends <= 5 * len(culprits)


def test_culprits_next_to_each_other_cost_little_more_than_a_worker_each() -> None:
    _, _, ends, calls = search_through(5_000, set(range(2_000, 2_100)))

    assert ends <= 115
    assert calls <= 200


def search_through(count: int, culprits: set[int]) -> tuple[set[int], list[int], int, int]:
    """Return the culprits found, the runs done, the ends of a worker, and the calls."""
    pending: deque[tuple[pa.Table, Search | None]] = deque([(rows(count), Search.among(count))])
    found, seen, ends, calls = set[int](), list[int](), 0, 0
    while pending:
        chunk, search = pending.popleft()
        here = seqs(chunk)
        for start, stop in search.parts(len(here)) if search else [(0, len(here))]:
            calls += 1
            if culprits.intersection(here[start:stop]):
                ends += 1
                split = isolate(chunk, lost(range(start, stop)), search)
                found |= set(seqs(split.identified))
                seen += seqs(split.identified)
                if split.innocent is not None:
                    # A shared worker executes them, all at once.
                    pending.append((split.innocent, None))
                pending += [(part.rows, part.search) for part in split.suspects]
                break
        else:
            seen += here
    return found, seen, ends, calls
