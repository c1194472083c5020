"""The outcome of runs doesn't depend on chunks, batches, visits or processes."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from walking_kit import Place, Walker, walking

import batchflow as bf
from batchflow.definition import ALLOWED, RunState
from batchflow.testing import FakeClock, inline_engine
from kit.effort import examples

STATUSES = 5


@st.composite
def graphs(draw: st.DrawFn) -> dict[int, list[int]]:
    """Draw steps that all lead from A, forward or back, to at least one end."""
    edges: dict[int, list[int]] = {}
    for code in range(STATUSES - 1):
        forward = draw(st.lists(st.integers(code + 1, STATUSES - 1), min_size=1, max_size=3))
        back = draw(st.lists(st.integers(1, code), max_size=1)) if code > 1 else []
        edges[code] = sorted({*forward, *back})
    reachable, pending = {0}, [0]
    while pending:
        for to in edges.get(pending.pop(), ()):
            if to not in reachable:
                reachable.add(to)
                pending.append(to)
    return {code: to for code, to in edges.items() if code in reachable}


ANSWERS = ("advance", "advance", "repeat", "skip", "fail", "pause", "cancel")
SQL_ANSWERS = ("advance", "advance", "advance", "advance", "fail")


@st.composite
def plans(
    draw: st.DrawFn, answers: Sequence[str] = ANSWERS
) -> tuple[dict[int, list[int]], list[dict[int, list[Any]]]]:
    """Draw a graph, and the step's answer for each run, status and visit."""
    edges = draw(graphs())
    answer = st.sampled_from(answers)
    runs = draw(
        st.lists(
            st.fixed_dictionaries(
                {code: st.lists(st.tuples(answer, st.integers(0, 2)), max_size=3) for code in edges}
            ),
            min_size=1,
            max_size=12,
        )
    )
    return edges, runs


def final_table(engine: bf.Engine, runs: int) -> list[Any]:
    engine.trigger_many((Walker(number) for number in range(runs)), foreign_id="number", at="A")
    engine.run(wait_for_retries=True)
    columns = "foreign_id, status, run_state, version, attempt, reason, number, steps, trail"
    return engine.runs().select(columns).order("number").fetchall()


def whole_log(engine: bf.Engine) -> list[Any]:
    columns = "seq, version, attempt, from_status, to_status, outcome, run_state"
    query = f"SELECT {columns} FROM walkers.transitions ORDER BY seq, version"
    return engine.sql(query).fetchall()


def check_log(engine: bf.Engine, edges: dict[int, list[int]]) -> None:
    """Check that the log has only allowed transitions, and that replaying it gives the table."""
    log = engine.sql(
        "SELECT seq, from_status, to_status, outcome, run_state, version "
        "FROM walkers.transitions ORDER BY seq, version"
    ).fetchall()
    table = {
        seq: (status, state, version)
        for seq, status, state, version in engine.runs()
        .select("seq, status, run_state, version")
        .fetchall()
    }
    replayed = dict.fromkeys(table, ("A", "INITIATED", 1))
    for seq, came_from, to, outcome, state, version in log:
        status, before, last = replayed[seq]
        assert (came_from, last + 1) == (status, version)
        if outcome == "advanced":
            assert Place[to].value in edges[Place[came_from].value]
        else:
            assert to == came_from
        via_running = ALLOWED[RunState[before], RunState.RUNNING] or before == "RUNNING"
        assert state == before or ALLOWED[RunState[before], RunState[state]] or via_running
        replayed[seq] = (to, state, version)
    assert replayed == table


@examples(4)
@given(
    plans(),
    st.integers(1, 12),
    st.permutations(["row", "batch"]),
    st.booleans(),
    st.lists(st.sampled_from([None, "before", "after"]), min_size=1, max_size=3),
)
def test_any_mix_of_outcomes_ends_as_with_chunks_of_one_and_a_commit_for_each_step(
    drawn: Any, rows: int, kinds: list[str], visits: bool, commits: list[Any]
) -> None:
    edges, plan = drawn
    with inline_engine(walking(edges, plan)) as engine:
        expected = final_table(engine, len(plan))
        check_log(engine, edges)
    workflow = walking(edges, plan, kinds, rows, visits=visits, commits=commits)
    with inline_engine(workflow) as engine:
        assert final_table(engine, len(plan)) == expected
        check_log(engine, edges)


@examples(5)
@given(
    plans(SQL_ANSWERS),
    st.sampled_from([["sql"], ["sql", "sql", "row"], ["sql", "sql", "sql", "batch"]]),
    st.lists(st.sampled_from([None, None, "before", "after"]), min_size=1, max_size=3),
)
def test_sql_steps_that_share_a_visit_end_as_with_a_commit_for_each(
    drawn: Any, kinds: list[str], commits: list[Any]
) -> None:
    edges, plan = drawn
    ends = []
    for visits in (False, True):
        workflow = walking(edges, plan, kinds, 5, visits=visits, commits=commits)
        with inline_engine(workflow) as engine:
            table = final_table(engine, len(plan))
            check_log(engine, edges)
            ends.append((table, whole_log(engine)))
    assert ends[0] == ends[1]


EDGES = {0: [1, 2], 1: [3, 4], 2: [1, 3], 3: [2, 4]}
KINDS = ("advance", "repeat", "skip", "fail", "pause", "cancel")
PLAN: list[dict[int, list[Any]]] = [
    {code: [(kind, number) for kind in picked] for code in EDGES}
    for number, picked in enumerate(itertools.product(KINDS, repeat=2))
]


@functools.cache
def ends_inline() -> list[Any]:
    with inline_engine(walking(EDGES, PLAN)) as engine:
        return final_table(engine, len(PLAN))


@pytest.mark.parametrize(("visits", "rows"), [(False, 1_000), (True, 7)])
def test_the_pool_ends_as_the_inline_engine_does(path: Path, visits: bool, rows: int) -> None:
    workflow = walking(EDGES, PLAN, ["row", "batch"], rows, visits=visits)
    with bf.Engine(path, workflow, workers=2, clock=FakeClock()) as engine:
        assert final_table(engine, len(PLAN)) == ends_inline()
        check_log(engine, EDGES)
