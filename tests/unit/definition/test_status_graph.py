from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from batchflow.definition import StatusGraph
from kit.effort import examples


@st.composite
def graphs(draw: st.DrawFn, most: int = 12) -> StatusGraph:
    size = draw(st.integers(1, most))
    codes = st.integers(0, size - 1)
    targets = st.lists(codes, min_size=1, max_size=4, unique=True).map(tuple)
    return StatusGraph(size, draw(st.dictionaries(codes, targets, max_size=size)))


def edges_of(graph: StatusGraph) -> list[tuple[int, int]]:
    return [(code, to) for code, targets in graph.edges.items() for to in targets]


def test_a_status_that_leads_to_itself_alone_is_a_starting_point() -> None:
    assert StatusGraph(2, {0: (0, 1)}).starting == {0}


def test_a_cycle_that_nothing_leads_into_has_no_starting_point() -> None:
    graph = StatusGraph(3, {0: (1,), 1: (0, 2)})

    assert graph.starting == frozenset()
    assert graph.terminal == {2}


def test_a_separate_cycle_is_unreachable() -> None:
    assert StatusGraph(5, {0: (1,), 2: (3,), 3: (2,)}).unreachable == {2, 3}


def test_the_rank_is_the_length_of_the_longest_path() -> None:
    graph = StatusGraph(4, {0: (3, 1), 1: (2,), 2: (3,)})

    assert graph.rank.tolist() == [0, 1, 2, 3]


def test_a_backward_edge_does_not_count() -> None:
    graph = StatusGraph(4, {0: (1,), 1: (2,), 2: (1, 3)})

    assert graph.rank.tolist() == [0, 1, 2, 3]


def test_a_chain_longer_than_the_recursion_limit_is_ranked() -> None:
    size = 5_000
    graph = StatusGraph(size, {i: (i + 1,) for i in range(size - 1)})

    assert graph.rank[-1] == size - 1


@examples(100)
@given(graphs())
def test_an_edge_either_leads_forward_or_closes_a_cycle(graph: StatusGraph) -> None:
    for code, to in edges_of(graph):
        if graph.rank[to] <= graph.rank[code]:
            assert code in graph.reachable_from(frozenset({to}))


@examples(100)
@given(graphs())
def test_no_rank_is_left_out_on_the_way_to_the_highest(graph: StatusGraph) -> None:
    ranks = sorted(set(graph.rank.tolist()))

    assert ranks[0] == 0
    assert all(after - before == 1 for before, after in pairwise(ranks))


@examples(100)
@given(graphs())
def test_starting_reachable_and_unreachable_account_for_each_step(graph: StatusGraph) -> None:
    reached = graph.reachable_from(graph.starting)

    assert set(graph.edges) == (set(graph.edges) & reached) | graph.unreachable
    assert not graph.unreachable & reached
    assert graph.terminal.isdisjoint(graph.edges)


def test_the_steps_ahead_are_the_longest_path_without_backward_edges() -> None:
    graph = StatusGraph(5, {0: (1, 4), 1: (2, 0), 2: (3, 1), 4: (4,)})
    assert graph.steps_ahead.tolist() == [3, 2, 1, 0, 1]


def test_a_status_leads_to_itself_and_to_what_comes_later() -> None:
    graph = StatusGraph(5, {0: (1, 4), 1: (2, 0), 2: (3, 1), 4: (4,)})
    assert [set(row.nonzero()[0].tolist()) for row in graph.leads_to] == [
        {0, 1, 2, 3, 4}, {1, 2, 3}, {2, 3}, {3}, {4}
    ]  # fmt: skip
