from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from store_kit import (
    LATER,
    NOW,
    VALUES,
    Bench,
    Everything,
    Status,
    failed,
    fetched,
    moved,
    parcels,
    put_everything,
)

from batchflow.definition.run_state import RunState
from batchflow.definition.workflow import Workflow
from batchflow.errors import InvalidOptionError, QueryError, RunNotFoundError, StoreClosedError
from batchflow.store import Store
from batchflow.store.query.arrival import Arrival, arrival
from kit.open_store import OpenStore


@pytest.fixture
def everything() -> Bench:
    workflow: Workflow[Any, Any] = Workflow("everything", Everything, Status)
    workflow.add_step(Status.NEW, lambda run: None, Status.DONE)
    store = Store.open(":memory:", [workflow], clock=lambda: NOW)
    bench = Bench(store, workflow)
    put_everything(bench, rows=1)
    return bench


def test_a_run_is_got_with_values_of_the_types_of_its_fields(everything: Bench) -> None:
    run = everything.questions.get(everything.run_id(0))
    for name, (_, value) in VALUES.items():
        assert getattr(run.object, name.removeprefix("object_")) == value, name
    assert run.run_id == everything.run_id(0)
    assert (run.status, run.run_state, run.created_at) == (Status.NEW, RunState.INITIATED, NOW)


def test_a_claim_sends_booleans_as_arrows_own_also_when_nested(everything: Bench) -> None:
    claimed = everything.claim(fields=tuple(field.name for field in everything.workflow.fields))
    assert claimed["flag"].type == pa.bool_()
    assert claimed["flags"].type.value_type == pa.bool_()
    assert claimed["points"].type.value_type.field("sure").type == pa.bool_()
    assert claimed["marks"].type.item_type == pa.bool_()
    assert claimed["status"].to_pylist() == ["mine"]


def test_what_a_claim_sent_can_be_committed_unchanged(everything: Bench) -> None:
    fields = [field.name for field in everything.workflow.fields]
    claimed = everything.claim(fields=tuple(fields))
    commit = moved(everything, claimed, Status.DONE, **{name: claimed[name] for name in fields})
    assert everything.commit(commit)[0].applied == 1
    found = everything.questions.get(everything.run_id(0)).object
    assert {name: getattr(found, name.removeprefix("object_")) for name in VALUES} == {
        name: value for name, (_, value) in VALUES.items()
    }


def test_queries_bind_their_parameters(bench: Bench) -> None:
    bench.seed(5)
    query = "SELECT count(*) FROM parcels.runs WHERE weight < {}"
    assert bench.questions.sql(query.format("?"), [3]).fetchall() == [(3,)]
    assert bench.questions.sql(query.format("$most"), {"most": 2}).fetchall() == [(2,)]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM parcels.runs",
        "UPDATE parcels.runs SET weight = 1",
        "DROP TABLE parcels.runs",
        "SELECT 1; DROP TABLE parcels.runs",
        "CHECKPOINT",
        "COPY parcels.runs TO 'x.csv'",
        "WITH gone AS (DELETE FROM parcels.runs RETURNING *) SELECT * FROM gone",
        "WITH x AS (UPDATE parcels.runs SET weight = 1 RETURNING *) SELECT * FROM x",
        "EXPLAIN ANALYZE DELETE FROM parcels.runs",
        ";",
    ],
)
def test_a_query_only_reads(bench: Bench, query: str) -> None:
    bench.seed(1)
    with pytest.raises(QueryError, match="one statement that only reads"):
        bench.questions.sql(query).fetchall()
    assert bench.rows("weight") == [(0,)]


@pytest.mark.parametrize(
    "query", ["DESCRIBE parcels.runs", "FROM parcels.runs", "SUMMARIZE parcels.runs"]
)
def test_short_forms_of_reading_are_queries_too(bench: Bench, query: str) -> None:
    assert bench.questions.sql(query).columns


def test_a_wrong_query_says_what_duckdb_found(bench: Bench) -> None:
    with pytest.raises(QueryError, match="nowhere"):
        bench.questions.sql("SELECT * FROM nowhere").fetchall()
    with pytest.raises(QueryError, match="parsed"):
        bench.questions.sql("SELEC 1")


def test_runs_are_chosen_by_a_predicate(bench: Bench) -> None:
    bench.seed(5)
    relation = bench.questions.runs("weight > 2 AND status = 'NEW' -- heavy")
    assert relation.columns[:5] == ["seq", "run_id", "foreign_id", "status", "run_state"]
    assert [row[0] for row in fetched(relation.order("seq"))] == [3, 4]


def test_a_wrong_predicate_names_the_columns_there_are(bench: Bench) -> None:
    with pytest.raises(QueryError, match=r"(?s)wieght.* columns .*weight"):
        bench.questions.runs("wieght > 2").fetchall()


def test_a_relation_outlives_the_call_and_holds_up_no_writer(bench: Bench) -> None:
    bench.seed(100_000)
    relation = bench.questions.runs()
    reader = relation.to_arrow_reader(1_000)
    reader.read_next_batch()
    bench.commit(moved(bench, bench.claim(), Status.CHECKED))
    assert sum(batch.num_rows for batch in reader) == 99_000
    assert relation.filter("status = 'CHECKED'").aggregate("count(*)").fetchall() == [(100_000,)]


def test_a_relation_can_not_be_read_once_the_store_is_closed(
    open_bench: Callable[..., Bench],
) -> None:
    bench = open_bench(at=":memory:")
    relation = bench.questions.counts()
    bench.store.close()
    with pytest.raises(StoreClosedError):
        relation.fetchall()


def test_counts_stand_in_the_order_of_the_statuses(bench: Bench) -> None:
    bench.seed(4, status="['DONE', 'NEW', 'CHECKED', 'NEW'][range + 1]")
    assert bench.questions.counts().fetchall() == [
        ("NEW", "INITIATED", 2),
        ("CHECKED", "INITIATED", 1),
        ("DONE", "INITIATED", 1),
    ]


def test_a_history_has_each_transition_and_its_error(bench: Bench) -> None:
    bench.seed(2)
    bench.commit(failed(bench, bench.claim()), now=NOW)
    again = bench.store.claim(bench.workflow, 0, 0, 9, LATER, ())
    bench.commit(moved(bench, again, Status.REFUSED), now=LATER)
    history = bench.questions.history(bench.run_id(1))
    chosen = "committed_at, from_status, to_status, outcome, run_state, attempt, error_message"
    assert fetched(history.select(chosen)) == [
        (NOW, "NEW", "NEW", "failed", "RUNNING", 1, "a message"),
        (LATER, "NEW", "REFUSED", "advanced", "COMPLETED", 2, None),
    ]


def test_a_history_without_recorded_transitions_has_the_failures(open_bench: Any) -> None:
    bench = open_bench(parcels(record_transitions=False))
    recorded = open_bench(parcels(), ":memory:")
    bench.seed(2)
    bench.commit(failed(bench, bench.claim()), now=NOW)
    again = bench.store.claim(bench.workflow, 0, 0, 9, LATER, ())
    bench.commit(moved(bench, again, Status.REFUSED), now=LATER)
    history = bench.questions.history(bench.run_id(1))
    recorded.seed(1)
    same = recorded.questions.history(recorded.run_id(0))
    assert history.columns == same.columns
    chosen = "committed_at, from_status, to_status, outcome, attempt, error_message"
    assert fetched(history.select(chosen)) == [(NOW, "NEW", "NEW", "failed", 1, "a message")]


@pytest.mark.parametrize("given", ["0", 0, None])
def test_what_names_no_run_is_not_found(bench: Bench, given: Any) -> None:
    for question in (bench.questions.get, bench.questions.history, bench.questions.find):
        with pytest.raises(RunNotFoundError, match=str(given)):
            question(given)


def test_a_run_is_found_by_its_foreign_id_and_the_latest_of_several_is_meant(bench: Bench) -> None:
    bench.seed(3, foreign_id="'same'")
    bench.seed(1, seq="9", foreign_id="'other'")
    found = bench.questions.find("same")
    assert (found.workflow, found.run_id) == ("parcels", bench.run_id(2))
    assert bench.questions.get("other").run_id == bench.run_id(9)
    assert bench.questions.get(str(bench.run_id(1))).run_id == bench.run_id(1)


def test_a_foreign_id_of_two_workflows_needs_the_workflow(path: Path) -> None:
    workflows = parcels("first"), parcels("second")
    store = Store.open(path, workflows, clock=lambda: NOW)
    for workflow in workflows:
        Bench(store, workflow).seed(1, foreign_id="'same'")
    questions = OpenStore(store, *workflows)
    with pytest.raises(InvalidOptionError, match="workflow= one of: 'first', 'second'"):
        questions.get("same")
    assert questions.find("same", workflow="second").workflow == "second"
    store.close()


def test_a_query_or_predicate_that_is_no_text_is_refused(bench: Bench) -> None:
    given: Any = 5
    with pytest.raises(QueryError, match="query is of type int"):
        bench.questions.sql(given)
    with pytest.raises(QueryError, match="predicate is of type int"):
        bench.questions.runs(given)


def test_empty_sql_is_refused_in_a_sentence(bench: Bench) -> None:
    for empty in ("", " \n"):
        with pytest.raises(QueryError, match="The query is empty"):
            bench.questions.sql(empty)
        with pytest.raises(QueryError, match="predicate is empty"):
            bench.questions.runs(empty)
        with pytest.raises(QueryError, match="predicate is empty"):
            bench.questions.pause(empty)


def test_an_arrival_knows_where_a_run_has_been(bench: Bench) -> None:
    bench.seed(1)
    bench.commit(moved(bench, bench.claim(), Status.CHECKED))
    run = bench.questions.find(bench.run_id(0))

    def arrived(status: Status) -> Arrival:
        return arrival(bench.store.source, bench.workflow, run, (status.name,))

    assert [arrived(status).reached for status in Status] == [True, True, False, False]
    found = arrived(Status.NEW)
    assert (found.status, found.run_state, found.reason) == ("CHECKED", RunState.RUNNING, None)


def test_an_unknown_run_is_not_found_by_anything(bench: Bench) -> None:
    bench.seed(1)
    for run_id in (bench.run_id(1), UUID(int=0)):
        with pytest.raises(RunNotFoundError, match=str(run_id)):
            bench.questions.get(run_id)
        with pytest.raises(RunNotFoundError, match=str(run_id)):
            bench.questions.history(run_id)
        with pytest.raises(RunNotFoundError):
            bench.questions.wait(run_id, Status.DONE, timeout_seconds=0)
