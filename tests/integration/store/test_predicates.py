"""Predicates: parameters of any type, and names that no run can have."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from store_kit import NOW, Bench, Status

import batchflow as bf
from batchflow.errors import InvalidOptionError, QueryError
from batchflow.operation.parameters import bound_values, params_of
from batchflow.operation.request import request_from_json
from batchflow.operation.requests import Pause


@dataclass
class Thing:
    number: int = 0


class Weight(enum.IntEnum):
    LIGHT = 1


MOMENT = datetime.fromisoformat("2030-01-02T03:04:05.000001")
NEVER = datetime(2100, 1, 1, tzinfo=UTC)

VALUES: list[Any] = [
    *(None, True, 7, 1.5, "text", "'; DROP", date(1900, 2, 3), time(1, 2, 3), timedelta(-1, 2, 3)),
    *(NOW, NOW.replace(tzinfo=None), Decimal("1.10"), UUID(int=5), b"\x00\xff"),
    [1, [Decimal("0.5")]],
]


@pytest.mark.parametrize("value", VALUES)
def test_each_value_reaches_another_process_as_it_is(value: Any) -> None:
    request = Pause(where="true", params=bound_values([value]), reason="why")
    sent = json.loads(json.dumps(request.to_json()))

    assert params_of(request_from_json("pause", sent).params) == [value]


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ([np.int64(3), np.float32(0.5), np.bool_(True), np.str_("x")], [3, 0.5, True, "x"]),
        (
            [np.datetime64("2030-01-02T03:04:05.000001234")],
            [MOMENT],
        ),
        ([np.timedelta64(90, "s"), np.datetime64("NaT")], [timedelta(seconds=90), None]),
        ([Status.DONE, Weight.LIGHT], ["DONE", "LIGHT"]),
        ({"n": np.array([1, 2])}, {"n": [1, 2]}),
        ((), None),
    ],
)
def test_numpy_and_enums_are_bound_as_plain_values(given: Any, plain: Any) -> None:
    assert params_of(bound_values(given)) == plain


def test_parameters_that_are_none_are_refused() -> None:
    for given in ("text", 5, [object()]):
        with pytest.raises(InvalidOptionError, match="type"):
            bound_values(given)
    with pytest.raises(InvalidOptionError, match="without a predicate"):
        Pause(run_ids=(UUID(int=1),), params=bound_values([1]), reason="why")


def test_all_predicates_take_parameters(bench: Bench) -> None:
    bench.seed(6)
    runs = bench.questions.runs

    assert len(runs("weight = ?", [np.int64(3)])) == 1
    assert len(runs("weight < $most AND status = $at", {"most": 3, "at": Status.NEW})) == 3
    chosen = runs("weight > ?", [1]).filter("weight < ?", [4]).select("weight").order("weight")
    assert chosen.fetchall() == [(2,), (3,)]
    assert bench.questions.pause("weight IN (?, ?)", [0, 1]).changed == 2
    assert bench.questions.resume("weight = $w", {"w": 1}).changed == 1
    assert bench.questions.edit("weight = ?", [5], set={"label": "'edited'"}).changed == 1
    assert bench.questions.cancel("label = ?", ["edited"]).changed == 1
    assert bench.questions.prune(NEVER, "weight = ?", [5], dry_run=True).runs == 1
    with pytest.raises(QueryError, match="Some parameters"):
        runs("weight > ?", [1]).filter("weight < $w", {"w": 4})


JOINED = "parcels.transitions AS t JOIN parcels.runs AS r ON r.seq = t.seq"


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("status = 'DNOE'", "did you mean 'DONE'"),
        ("status = 'done'", "did you mean 'DONE'"),
        ("STATUS <> 'Nwe'", "did you mean 'NEW'"),
        ("'DNOE' = status", "did you mean 'DONE'"),
        ("runs.status::VARCHAR = 'DNOE'", "did you mean 'DONE'"),
        ("weight > 1 AND NOT (status IN ('NEW', 'DNOE'))", "did you mean 'DONE'"),
        ("status IN ['DNOE']", "did you mean 'DONE'"),
        ("CASE status WHEN 'DNOE' THEN true ELSE false END", "did you mean 'DONE'"),
        ("run_state IS DISTINCT FROM 'PUASED'", "did you mean 'PAUSED'"),
        ("run_state = 'xyz'", "it has INITIATED"),
        ("seq IN (SELECT seq FROM parcels.transitions WHERE outcome = 'fialed')", "'failed'"),
        ("seq IN (SELECT seq FROM parcels.transitions WHERE to_status = 'DNOE')", "'DONE'"),
        ("seq IN (SELECT r.seq FROM parcels.runs AS r WHERE r.status = 'DNOE')", "'DONE'"),
        (f"seq IN (SELECT t.seq FROM {JOINED} WHERE t.to_status = 'DNOE')", "'DONE'"),
        (f"seq IN (SELECT t.seq FROM {JOINED} AND r.status = 'DNOE')", "'DONE'"),
        ("EXISTS (SELECT 1 FROM parcels.transitions AS t WHERE runs.status = 'DNOE')", "'DONE'"),
        ("'DNOE' = (SELECT any_value(status) FROM parcels.runs WHERE status = 'DNOE')", "'DONE'"),
    ],
)
def test_a_name_that_no_run_can_have_is_refused(bench: Bench, where: str, found: str) -> None:
    bench.seed(2)
    calls = [bench.questions.runs, bench.questions.pause, bench.questions.cancel]

    for call in calls:
        with pytest.raises(QueryError, match=found):
            call(where)
    with pytest.raises(QueryError, match=found):
        bench.questions.prune(timedelta(0), where)


def test_a_name_in_a_parameter_or_a_filter_is_refused_too(bench: Bench) -> None:
    runs = bench.questions.runs
    with pytest.raises(QueryError, match=r"did you mean 'DONE'\?$"):
        runs("status = ?", ["DNOE"])
    with pytest.raises(QueryError, match="did you mean 'DONE'"):
        runs("status = $s", {"s": "DNOE"})
    with pytest.raises(QueryError, match="did you mean 'DONE'"):
        runs().filter("status = 'DNOE'")


@pytest.mark.parametrize(
    "where",
    [
        "status = 'NEW' OR status IN ('DONE') OR run_state <> 'PAUSED'",
        "label = 'DNOE' OR status::VARCHAR LIKE 'D%' OR lower(status::VARCHAR) = 'new'",
        "status = upper('new') OR status IS NULL",
        "EXISTS (SELECT 1 FROM (SELECT 'x' AS status) WHERE status = 'x')",
        "EXISTS (SELECT 1 FROM (SELECT 'x' AS status) AS runs WHERE runs.status = 'x')",
        f"NOT EXISTS (SELECT 1 FROM {JOINED} AND r.status = 'DONE' AND t.outcome = 'advanced')",
    ],
)
def test_names_that_runs_can_have_are_accepted(bench: Bench, where: str) -> None:
    bench.seed(2)
    assert len(bench.questions.runs(where)) == 2


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("weight", "BIGINT"),
        ("5", "INTEGER"),
        ("'true'", "VARCHAR"),
        ("runs.weight + 1", "BIGINT"),
        ("?", "INTEGER"),
    ],
)
def test_a_predicate_that_is_no_condition_is_refused(bench: Bench, where: str, kind: str) -> None:
    bench.seed(2)
    params = [1] if where == "?" else None
    questions = bench.questions

    for call in (questions.runs, questions.pause, questions.resume, questions.cancel):
        with pytest.raises(QueryError, match=f"its type is {kind}, and"):
            call(where, params)
    with pytest.raises(QueryError, match=f"its type is {kind}, and"):
        questions.edit(where, params, set={"label": "'x'"})
    with pytest.raises(QueryError, match=f"its type is {kind}, and"):
        questions.prune(timedelta(0), where, params)


@pytest.mark.parametrize(
    "where", ["true", "NOT (weight > 9)", "weight IN (0, 1)", "coalesce(weight < 9, false)", "?"]
)
def test_a_predicate_of_any_form_chooses_runs(bench: Bench, where: str) -> None:
    bench.seed(2)
    assert len(bench.questions.runs(where, [True] if where == "?" else None)) == 2


def test_an_order_is_sql_text_and_a_limit_a_whole_number(bench: Bench) -> None:
    bench.seed(3)
    runs = bench.questions.runs()
    with pytest.raises(QueryError, match="order is of type list; give SQL text"):
        runs.order(["seq"])  # type: ignore[arg-type]
    for wrong in (2.7, True, "2"):
        with pytest.raises(InvalidOptionError, match=r"rows is .*; give a whole number"):
            runs.limit(wrong)  # type: ignore[arg-type]
    assert len(runs.order("seq").limit(np.int64(2), offset=1).fetchall()) == 2


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT count(*) FROM parcels.runs WHERE status = 'DNOE'", "'DONE'"),
        ("FROM PARCELS.Runs AS r WHERE r.STATUS IN ('NEW', 'DNOE')", "'DONE'"),
        ("SELECT parcels.runs.status = 'DNOE' FROM parcels.runs", "'DONE'"),
        ("SELECT count(*) FILTER (status = 'DNOE') FROM parcels.runs", "'DONE'"),
        ("FROM parcels.transitions WHERE outcome = 'fialed' ORDER BY seq", "'failed'"),
        ("FROM parcels.errors WHERE run_state = 'PUASED'", "'PAUSED'"),
        (f"SELECT count(*) FROM {JOINED} WHERE to_status = 'DNOE'", "'DONE'"),
        ("WITH done AS (FROM parcels.runs WHERE status = 'DNOE') FROM done", "'DONE'"),
        ("SELECT 1 UNION ALL SELECT 1 FROM parcels.runs WHERE status = 'DNOE'", "'DONE'"),
        ("EXPLAIN SELECT 1 FROM parcels.runs WHERE status = 'DNOE'", "'DONE'"),
    ],
)
def test_a_name_that_no_run_can_have_is_refused_in_queries(
    bench: Bench, query: str, found: str
) -> None:
    with pytest.raises(QueryError, match=f"^The query can't be executed: .*did you mean {found}"):
        bench.questions.sql(query)


def test_a_name_in_a_parameter_of_a_query_is_refused_too(bench: Bench) -> None:
    query = "SELECT 1 FROM parcels.runs WHERE status = ?"
    assert bench.questions.sql(query, [Status.DONE]).fetchall() == []
    with pytest.raises(QueryError, match="status has no value 'LIGHT'"):
        bench.questions.sql(query, [Weight.LIGHT])


def test_a_member_for_a_number_is_refused_with_the_remedy(bench: Bench) -> None:
    bench.seed(2)
    for relation in (
        bench.questions.runs("weight = ?", [Weight.LIGHT]),
        bench.questions.sql("SELECT 1 FROM parcels.runs WHERE weight = ?", [Weight.LIGHT]),
    ):
        with pytest.raises(QueryError, match="a member of an enum is bound as its name, so give"):
            relation.fetchall()
    assert len(bench.questions.runs("weight = ?", [Weight.LIGHT.value])) == 1


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 FROM (SELECT 'x' AS status) WHERE status = 'x'",
        "WITH runs AS (SELECT 'x' AS status) SELECT 1 FROM runs WHERE status = 'x'",
        "SELECT lower(status::VARCHAR) AS status FROM parcels.runs ORDER BY status = 'x' LIMIT 1",
        "SELECT 'x' AS status FROM parcels.runs GROUP BY ALL HAVING status = 'x'",
        "SELECT any_value(list_filter(['x'], lambda status: status = 'x')) FROM parcels.runs",
        "SELECT max(list_filter([{'status': 'x'}], lambda r: r.status = 'x')) FROM parcels.runs r",
        "SELECT 1 FROM (SELECT 'x') AS runs(status) WHERE runs.status = 'x'",
        "SELECT count(*) FROM parcels.runs AS r(status) WHERE status::VARCHAR <> 'x'",
        "SELECT count(*) FROM parcels.runs AS r, (SELECT 'x' AS kind) AS o WHERE o.kind = 'x'",
        "SELECT count(*) FROM parcels.runs WHERE label = 'DNOE' OR status = 'DONE' OR true",
        "SELECT count(*) FROM batchflow.operations WHERE outcome = 'x' OR true",
    ],
)
def test_names_that_need_not_be_those_of_runs_are_accepted_in_queries(
    bench: Bench, query: str
) -> None:
    bench.seed(2)
    assert len(bench.questions.sql(query)) == 1


def test_statuses_that_an_engine_adds_are_known_to_clients_that_were_connected_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "things.duckdb"
    query = "SELECT count(*) FROM things.runs WHERE status = 'LATE'"

    def opened(*names: str) -> None:
        workflow = bf.Workflow("things", Thing, enum.Enum("Status", [*names]))  # type: ignore[misc]
        first, second = workflow.statuses[:2]
        workflow.sql_step(first, to=second)
        bf.Engine(path, workflow, workers=0).close()

    opened("A", "B")
    with bf.connect(path) as store:
        with pytest.raises(QueryError, match="status has no value 'LATE'"):
            store.sql(query)
        opened("A", "B", "LATE")
        assert store.sql(query).fetchall() == [(0,)]
        assert len(store.runs("status = 'LATE'")) == 0
