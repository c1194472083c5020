"""Whether SQL steps share a transaction changes how often is committed, and nothing else."""

from __future__ import annotations

import enum
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import batchflow as bf
from batchflow.store import Store
from batchflow.testing import FakeClock, inline_engine

RUNS = 40
BOTH = pytest.mark.parametrize("visits", [False, True], ids=["committed", "visited"])


class Stage(enum.Enum):
    FIRST = 1
    SECOND = 2
    THIRD = 3
    DONE = 4
    LOST = 5


@dataclass
class Parcel:
    number: int
    trail: str = ""
    weight: float = 0.0
    label: str | None = None


STAGES = list(Stage)
READS_OTHERS = "(SELECT count(*) FROM parcels.runs)"
WALK = {"set": {"trail": "trail || left(status::VARCHAR, 1)"}}


def parcels(
    first: dict[str, Any] | None = None,
    second: dict[str, Any] | None = None,
    third: dict[str, Any] | None = None,
    *,
    visits: bool = True,
    **shared: Any,
) -> bf.Workflow[Parcel, Stage]:
    """Return a workflow of three SQL steps, each with its options, that lead to the next status."""
    workflow = bf.Workflow("parcels", Parcel, Stage, visits=visits, **shared)
    for place, options in enumerate((first, second, third)):
        given: dict[str, Any] = {"to": STAGES[place + 1], **WALK, **(options or {})}
        workflow.sql_step(STAGES[place], **given)
    return workflow


def drained(workflow: bf.Workflow[Parcel, Stage], runs: int = RUNS, **options: Any) -> Any:
    """Drain; return the table and the log."""
    with inline_engine(workflow) as engine:
        load(engine, runs)
        engine.run(**options)
        return table_of(engine), log_of(engine)


def load(engine: bf.Engine, runs: int = RUNS) -> None:
    query = f"SELECT range AS number FROM range({runs})"
    engine.trigger_many(query, foreign_id="number", at=Stage.FIRST)


def table_of(engine: bf.Engine) -> list[Any]:
    columns = "status, run_state, version, attempt, trail, weight, label"
    return engine.runs().order("number").select(columns).fetchall()


def log_of(engine: bf.Engine) -> list[Any]:
    columns = "seq, from_status, to_status, outcome, run_state, attempt, version"
    query = f"SELECT {columns} FROM parcels.transitions ORDER BY seq, version"
    return engine.sql(query).fetchall()


def commits(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the statuses of the steps with which the commits began, in their order."""
    records = (record.__dict__ for record in caplog.records)
    steps = [record["step"] for record in records if record.get("action") == "commit"]
    return [step.removeprefix("sql:") for step in steps]


def alike(make: Any, runs: int = RUNS, **options: Any) -> Any:
    """Check that a workflow ends the same with visits and without; return the table and the log."""
    visited, committed = (drained(make(visits), runs, **options) for visits in (True, False))
    assert visited == committed
    return visited


def test_consecutive_steps_are_one_commit(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "batchflow"):
        table, log = drained(parcels())
    assert commits(caplog) == ["FIRST"]
    assert set(table) == {("DONE", "COMPLETED", 4, 1, "FST", 0.0, None)}
    assert log[:3] == [
        (0, "FIRST", "SECOND", "advanced", "RUNNING", 1, 2),
        (0, "SECOND", "THIRD", "advanced", "RUNNING", 1, 3),
        (0, "THIRD", "DONE", "advanced", "COMPLETED", 1, 4),
    ]
    assert len(log) == 3 * RUNS


def test_chunk_rows_of_one_step_are_the_most_runs_of_a_commit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "batchflow"):
        few = drained(parcels(second={"chunk_rows": 15}))

    assert commits(caplog) == ["FIRST"] * 3
    assert few == drained(parcels())


def test_an_expression_sees_the_run_as_the_steps_before_it_left_it() -> None:
    seen = "concat_ws(' ', trail, status, run_state, version, attempt, updated_at = $now, reason)"
    walk = {"set": {"trail": f"{seen} || ';'", "weight": "weight + version"}}
    table, _ = alike(lambda visits: parcels(walk, walk, walk, visits=visits), 1)
    # updated_at is that of the commit before, which is at the same time here.
    assert table[0][4].split(";")[1:3] == [
        " SECOND RUNNING 2 1 true",
        " THIRD RUNNING 3 1 true",
    ]
    assert table[0][5] == 1 + 2 + 3


def test_an_expression_of_a_step_sees_no_other_one_of_the_same_step() -> None:
    swap = {"set": {"weight": "number", "label": "weight::VARCHAR", "trail": "trail || weight"}}
    table, _ = alike(lambda visits: parcels(swap, swap, swap, visits=visits), 3)
    assert table[2][4:] == ("0.02.02.0", 2.0, "2.0")


def test_runs_take_the_ways_that_their_values_lead() -> None:
    def make(visits: bool) -> bf.Workflow[Parcel, Stage]:
        ways = "['SECOND', 'THIRD', 'LOST'][number % 3 + 1]"
        first = {"to": [Stage.SECOND, Stage.THIRD, Stage.LOST], "status": ways}
        second = {"to": [Stage.THIRD, Stage.DONE], "status": "if(number > 9, 'THIRD', 'DONE')"}
        return parcels(first, second, visits=visits)

    table, log = alike(make)
    assert [(row[0], row[2], row[4]) for row in table[9:15]] == [
        ("DONE", 3, "FS"),
        ("DONE", 3, "FT"),
        ("LOST", 2, "F"),
        ("DONE", 4, "FST"),
        ("DONE", 3, "FT"),
        ("LOST", 2, "F"),
    ]
    assert [line[-1] for line in log if line[:2] == (10, "THIRD")] == [3]
    assert [line[-1] for line in log if line[:2] == (12, "THIRD")] == [4]


FAILING: dict[str, dict[str, Any]] = {
    "NULL": {
        "set": {"weight": "1 / CAST(nullif(number::VARCHAR, '7') || '' AS INT)", "label": "'x'"}
    },
    "error": {"set": {"weight": "if(number = 7, error('not now'), 2.5)"}},
    "NULL in a text": {"set": {"trail": "if(number = 7, NULL, trail)"}},
    "undeclared status": {"status": "if(number = 7, 'FIRST', 'NEXT')"},
    "NULL status": {"status": "if(number = 7, NULL, 'NEXT')"},
}


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (0, "error"),
        (0, "undeclared status"),
        (1, "error"),
        (1, "NULL"),
        (1, "NULL status"),
        (2, "error"),
        (2, "undeclared status"),
        (2, "NULL in a text"),
    ],
)
def test_a_failure_keeps_the_results_of_the_steps_before_it(place: int, kind: str) -> None:
    failing = FAILING[kind]
    steps: list[dict[str, Any]] = [{}, {}, {}]
    if "status" in failing:
        status = failing["status"].replace("NEXT", STAGES[place + 1].name)
        failing = {"status": status, "to": [STAGES[place + 1], Stage.LOST]}
    steps[place] = failing

    def make(visits: bool) -> bf.Workflow[Parcel, Stage]:
        retry = bf.Retry(pause_after=1)
        return parcels(*steps, visits=visits, retry=retry)

    table, log = alike(make)
    assert table.pop(7)[:4] == (STAGES[place].name, "PAUSED", 2 + place, 2)
    assert {row[:4] for row in table} == {("DONE", "COMPLETED", 4, 1)}
    assert [line[3] for line in log if line[0] == 7] == ["advanced"] * place + ["failed"]


def test_null_that_a_later_step_would_hide_fails_where_it_is_set() -> None:
    def make(visits: bool) -> bf.Workflow[Parcel, Stage]:
        hidden = {"set": {"trail": "if(number = 7, NULL, 'x')"}}
        return parcels(hidden, {"set": {"trail": "'y'"}}, visits=visits)

    table, _ = alike(make)
    assert table[7][:3] == ("FIRST", "RUNNING", 2)


def test_a_run_that_failed_before_has_its_attempt_in_the_log() -> None:
    def make(visits: bool) -> bf.Workflow[Parcel, Stage]:
        once = "if(number = 7 AND attempt = 1, error('not now'), 1.5)"
        retry = bf.Retry(backoff_seconds=1, jitter=0)
        return parcels({"set": {"weight": once}}, visits=visits, retry=retry)

    table, log = alike(make, wait_for_retries=True)
    assert table[7][:4] == ("DONE", "COMPLETED", 5, 1)
    assert [line[3:] for line in log if line[0] == 7] == [
        ("failed", "RUNNING", 1, 2),
        ("advanced", "RUNNING", 2, 3),
        ("advanced", "RUNNING", 1, 4),
        ("advanced", "COMPLETED", 1, 5),
    ]


@BOTH
def test_a_random_value_is_the_same_for_all_that_read_it(visits: bool) -> None:
    first = {"set": {"weight": "random()", "label": "uuid()::VARCHAR"}}
    ways = {"to": [Stage.THIRD, Stage.LOST], "status": "if(weight < 0.5, 'THIRD', 'LOST')"}
    copied = {"set": {"trail": "trail || label"}}
    table, _ = drained(parcels(first, ways, copied, visits=visits))
    for status, _, version, _, trail, weight, label in table:
        assert (status, version) == (("DONE", 4) if weight < 0.5 else ("LOST", 3))
        assert trail == ("S" + label if status == "DONE" else "S")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([{}, {"commit": "before"}, {}], ["FIRST", "SECOND"]),
        ([{}, {"commit": "after"}, {}], ["FIRST", "THIRD"]),
        ([{}, {}, {"parallel": 1}], ["FIRST", "THIRD"]),
        ([{}, {"set": {"weight": READS_OTHERS}}, {}], ["FIRST", "SECOND", "THIRD"]),
    ],
)
def test_a_step_is_committed_where_its_options_say(
    options: list[dict[str, Any]], expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "batchflow"):
        table, _ = drained(parcels(*options))
    assert commits(caplog) == expected
    assert {row[:4] for row in table} == {("DONE", "COMPLETED", 4, 1)}


@BOTH
def test_a_limit_counts_each_step_of_a_run(visits: bool) -> None:
    with inline_engine(parcels(visits=visits)) as engine:
        load(engine)
        assert engine.run(limit=RUNS + 1).runs == RUNS + 1
        moved = Counter(row[:3] for row in table_of(engine))
        assert moved == {("SECOND", "RUNNING", 2): RUNS - 1, ("THIRD", "RUNNING", 3): 1}


@BOTH
def test_each_step_is_counted(visits: bool) -> None:
    way = {"to": [Stage.THIRD, Stage.LOST], "status": "if(number < 10, 'THIRD', 'LOST')"}
    with inline_engine(parcels(None, way, visits=visits)) as engine:
        load(engine)
        report = engine.run()
        run_id = engine.get("0").run_id
        assert engine.wait(run_id, Stage.SECOND, timeout_seconds=0).status is Stage.DONE
        progress = engine.progress()
    assert [step.outcomes for step in report.steps] == [
        {"advanced": RUNS},
        {"advanced": RUNS},
        {"advanced": 10},
    ]
    assert progress is None or progress.remaining == 0


def test_a_run_goes_around_a_loop_once_in_a_turn(caplog: pytest.LogCaptureFixture) -> None:
    def make(visits: bool) -> bf.Workflow[Parcel, Stage]:
        back = {"to": [Stage.SECOND, Stage.DONE], "status": "if(len(trail) > 5, 'DONE', 'SECOND')"}
        return parcels(None, None, back, visits=visits)

    table, _ = alike(make)
    assert {row[:3] + row[4:5] for row in table} == {("DONE", "COMPLETED", 8, "FSTSTST")}
    caplog.clear()
    with caplog.at_level(logging.INFO, "batchflow"):
        drained(make(True))
    assert commits(caplog) == ["FIRST", "SECOND", "SECOND"]


def test_a_span_whose_runs_are_gone_is_moved_by_its_first_step_alone() -> None:
    # Others may cancel or prune runs between their claim and their turn.
    workflow, now = parcels(), FakeClock().now()
    store = Store.open(":memory:", [workflow], clock=lambda: now)
    steps, random = list(workflow.steps.values()), np.random.default_rng(0)
    results = store.commit_sql_steps(workflow, steps, (0, 100), now, random)
    store.close()
    assert [(result.step, result.runs) for result in results] == [(steps[0], 0)]


@BOTH
def test_a_store_without_a_log_is_moved_as_well(visits: bool) -> None:
    with inline_engine(parcels(visits=visits, record_transitions=False)) as engine:
        load(engine)
        engine.run()
        assert {row[:5] for row in table_of(engine)} == {("DONE", "COMPLETED", 4, 1, "FST")}
