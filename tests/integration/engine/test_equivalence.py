"""The outcome of runs doesn't depend on chunks, batches, visits or processes."""

from __future__ import annotations

import enum
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import batchflow as bf
from batchflow.definition import ALLOWED, RunState
from batchflow.testing import FakeClock, inline_engine
from kit.effort import examples

STATUSES = 5


class Place(enum.Enum):
    A = 0
    B = 1
    C = 2
    D = 3
    E = 4


PLACES = list(Place)


@dataclass
class Walker:
    number: int
    steps: int = 0
    trail: str = ""


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


class Walk:
    """A graph, and the step's answer for each run, status and visit.

    What it answers depends on the run alone: on its steps so far and on its attempt.
    """

    def __init__(self, edges: dict[int, list[int]], plan: list[dict[int, list[Any]]]) -> None:
        self.edges = edges
        self.plan = plan

    def choice(self, code: int, walker: Any, attempt: int) -> tuple[str, int]:
        answers = self.plan[walker.number][code]
        visit = walker.steps + attempt - 1
        if visit < len(answers):
            kind, edge = answers[visit]
            return kind, self.edges[code][edge % len(self.edges[code])]
        return "advance", max(self.edges[code])

    def row_step(self, code: int) -> Any:
        def step(run: bf.Run[Walker, Place]) -> Any:
            kind, to = self.choice(code, run.object, run.attempt)
            run.object.steps += 1
            run.object.trail += PLACES[code].name
            if kind == "fail":
                raise ValueError("as planned")
            if kind in ("pause", "cancel"):
                return getattr(run, kind)("as planned")
            return PLACES[to] if kind == "advance" else getattr(run, kind)()

        return step

    def batch_step(self, code: int) -> Any:
        def step(batch: bf.Batch[Walker, Place]) -> Any:
            chosen = [
                self.choice(code, Walker(int(number), int(steps)), int(attempt))
                for number, steps, attempt in zip(
                    batch["number"], batch["steps"], batch.attempt, strict=True
                )
            ]
            verbs = np.array([kind for kind, _ in chosen])
            if (verbs == "fail").any():
                raise ValueError("as planned")
            batch["steps"] = batch["steps"] + 1
            batch["trail"] = batch["trail"] + PLACES[code].name
            batch.skip(verbs == "skip")
            batch.repeat(verbs == "repeat")
            batch.pause(verbs == "pause", "as planned")
            batch.cancel(verbs == "cancel", "as planned")
            return np.array([PLACES[to] for _, to in chosen], dtype=object)

        return step

    def sql_step(self, code: int) -> dict[str, Any]:
        """Return the expressions that do the same; only advancing and failing can be planned."""
        failing, to = ["false"], [f"WHEN true THEN '{PLACES[max(self.edges[code])].name}'"]
        for number, answers in enumerate(self.plan):
            for visit, (kind, edge) in enumerate(answers[code]):
                here = f"number = {number} AND steps + attempt - 1 = {visit}"
                if kind == "fail":
                    failing.append(here)
                target = self.edges[code][edge % len(self.edges[code])]
                to.insert(0, f"WHEN {here} THEN '{PLACES[target].name}'")
        raised = f"CASE WHEN {' OR '.join(failing)} THEN error('as planned') ELSE steps + 1 END"
        trail = f"trail || '{PLACES[code].name}'"
        status = f"CASE {' '.join(to)} END"
        return {"set": {"steps": raised, "trail": trail}, "status": status}


def walking(
    edges: dict[int, list[int]],
    plan: list[dict[int, list[Any]]],
    kinds: Sequence[str] = ("row",),
    rows: int = 1,
    *,
    visits: bool = False,
    commits: Sequence[Any] = (None,),
) -> bf.Workflow[Walker, Place]:
    """Build a workflow whose steps do as planned."""
    retry = bf.Retry(backoff_seconds=1, jitter=0, pause_after=2)
    workflow = bf.Workflow("walkers", Walker, Place, retry=retry, chunk_rows=rows, visits=visits)
    walk = Walk(edges, plan)
    for code, to in edges.items():
        kind, commit = kinds[code % len(kinds)], commits[code % len(commits)]
        if kind == "sql":
            places = [PLACES[t] for t in to]
            workflow.sql_step(PLACES[code], to=places, commit=commit, **walk.sql_step(code))
            continue
        is_batch = kind == "batch"
        function = walk.batch_step(code) if is_batch else walk.row_step(code)
        workflow.add_step(
            PLACES[code],
            function,
            *(PLACES[t] for t in to),
            batch=is_batch,
            commit=commit,
        )
    return workflow


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
