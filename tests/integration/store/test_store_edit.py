"""Setting fields of runs to SQL expressions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from store_kit import LATER, NOW, Bench, Status, moved

from batchflow.definition.run_state import RunState
from batchflow.definition.workflow import Workflow
from batchflow.engine import Engine
from batchflow.errors import InvalidOptionError, QueryError, StoreError
from batchflow.operation import ControlReport
from batchflow.operation.requests import Pause
from batchflow.store.runs.control import change_runs, pause_change


@dataclass
class Clashing:
    status: str = "none"
    version: int = 0
    run_state: str = "none"
    attempt: int = 0
    seq: int = 9


EDITABLE = [
    state
    for state in RunState
    if state not in (RunState.REQUESTED_DATA_DELETED, RunState.DATA_DELETED)
]


def edited(changed: int, refused: int = 0) -> ControlReport:
    return ControlReport("edited", changed, refused)


def test_fields_are_set_from_the_values_before_the_edit(bench: Bench) -> None:
    bench.seed(3)
    changes = {"weight": "weight * 10", "label": "'was ' || weight"}
    assert bench.at(LATER).edit("weight > 0", set=changes, reason="tenfold") == edited(2)
    assert bench.rows("weight, label, version, updated_at") == [
        (0, "none", 1, NOW),
        (10, "was 1", 2, LATER),
        (20, "was 2", 2, LATER),
    ]
    columns = "seq, from_status, to_status, outcome, run_state, version, committed_at"
    assert bench.transitions(columns) == [
        (1, "NEW", "NEW", "edited", "INITIATED", 2, LATER),
        (2, "NEW", "NEW", "edited", "INITIATED", 2, LATER),
    ]
    log = bench.questions.sql("SELECT operation, reason, changed FROM batchflow.operations")
    assert log.fetchall() == [("edit", "tenfold", 2)]


def test_fields_may_be_named_like_columns_of_the_engine(path: Path) -> None:
    clashing: Any = Workflow("parcels", Clashing, Status)
    clashing.sql_step(Status.NEW, to=[Status.DONE])
    with Engine(path, clashing, workers=0) as engine:
        engine.trigger("a", Clashing())
        changes = {"status": "'mine'", "version": "version + 6", "run_state": "run_state::VARCHAR"}
        changes |= {"attempt": "object_attempt + 1", "seq": "seq"}
        assert engine.edit("true", set=changes).changed == 1
        stored = engine.get("a")
        assert stored.object == Clashing("mine", 7, "INITIATED", 1, 0)
        assert (stored.status, stored.version) == (Status.NEW, 2)


@pytest.mark.parametrize("state", RunState)
def test_runs_whose_object_is_erased_are_refused(bench: Bench, state: RunState) -> None:
    bench.seed(2, run_state=f"'{state.name}'")
    expected = edited(2) if state in EDITABLE else edited(0, 2)
    assert bench.questions.edit("true", set={"note": "'seen'"}) == expected
    assert bench.rows("run_state") == [(state.name,)] * 2


def test_a_late_result_for_an_edited_run_is_refused(bench: Bench) -> None:
    bench.seed(2)
    late = bench.claim()
    assert bench.questions.edit(run_ids=[bench.run_id(0)], set={"weight": "7"}) == edited(1)
    [summary] = bench.commit(moved(bench, late, Status.CHECKED))
    assert summary.refused_seqs.tolist() == [0]
    assert bench.rows("weight, status") == [(7, "NEW"), (1, "CHECKED")]


def test_a_dry_run_counts_and_changes_nothing(bench: Bench) -> None:
    bench.seed(2)
    assert bench.questions.edit("true", set={"weight": "0"}, dry_run=True) == edited(2)
    assert bench.rows("weight, version") == [(0, 1), (1, 1)]
    assert bench.questions.sql("FROM batchflow.operations").fetchall() == []


def test_a_dry_run_refuses_values_that_do_not_fit(bench: Bench) -> None:
    bench.seed(2)
    with pytest.raises(QueryError, match="'weight' doesn't fit the field"):
        bench.questions.edit("true", set={"weight": "NULL"}, dry_run=True)


@pytest.mark.parametrize("wrong", [{}, None, {"weight": 1}, "weight = 1", {"wieght": "1"}])
def test_what_assigns_no_expression_to_a_field_is_refused(bench: Bench, wrong: Any) -> None:
    bench.seed(1)
    with pytest.raises(InvalidOptionError, match=r"^set names"):
        bench.questions.edit("true", set=wrong)
    assert bench.rows("version") == [(1,)]


@pytest.mark.parametrize(
    "expression",
    [
        "wieght + 1",
        "if(status = 'DNOE', 1, 2)",
        "label::INTEGER",
        "NULL",
        "1; DROP TABLE parcels.runs",
        "1), version = (9",
        "1) AS BIGINT), version = CAST((9",
        "1) FROM parcels.runs WHERE (true",
        "1, 2",
        "select weight",
        "'a', weight = 3",
        "unnest([10, 20])",
        "1 + UNLIST([10])",
        "",
    ],
)
def test_an_expression_that_fails_or_is_none_changes_nothing(bench: Bench, expression: str) -> None:
    bench.seed(3)
    with pytest.raises(QueryError, match=r"(run|value) of|runs of 'parcels' can't be edited"):
        bench.questions.edit("true", set={"weight": expression})
    assert bench.rows("weight, version") == [(0, 1), (1, 1), (2, 1)]
    assert bench.transitions("seq") == []


def test_a_subquery_may_unnest_a_list(bench: Bench) -> None:
    bench.seed(1)
    expression = "(SELECT max(number) FROM (SELECT unnest([10, 20]) AS number))"
    assert bench.questions.edit("true", set={"weight": expression}) == edited(1)
    assert bench.rows("weight") == [(20,)]


def test_a_change_with_more_transitions_than_runs_is_rolled_back(bench: Bench) -> None:
    bench.seed(2)
    request = Pause(where="true", reason="twice")
    twice = replace(pause_change(request), evaluate=lambda _, runs: pa.concat_tables([runs, runs]))
    connection, tables = bench.store.connection, bench.store.tables(bench.workflow)
    with pytest.raises(StoreError, match="2 rows in one table and 4 in another"):
        change_runs(connection, tables, request, twice, NOW)
    assert bench.rows("run_state, version") == [("INITIATED", 1), ("INITIATED", 1)]
    assert bench.transitions("seq") == []
