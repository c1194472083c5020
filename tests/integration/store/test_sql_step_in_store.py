from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from store_kit import (
    LATER,
    NOW,
    VALUES,
    Bench,
    Everything,
    Status,
    parcels,
    put_everything,
    sql_parcels,
)

from batchflow.definition.outcome import Outcome
from batchflow.definition.retry import Retry
from batchflow.definition.workflow import Workflow
from batchflow.errors import DefinitionError
from batchflow.store import SqlStepResult

Open = Callable[..., Bench]
BY_WEIGHT = "CASE WHEN weight < 3 THEN 'CHECKED' ELSE 'REFUSED' END"
FAILING = "CASE WHEN weight % 4 = 1 THEN CAST(label AS INTEGER) ELSE weight * 2 END"


def moved_counts(result: SqlStepResult) -> dict[tuple[int, int], int]:
    counts: Counter[tuple[int, int]] = Counter()
    for row in result.moved_counts.to_pylist():
        counts[row["to"], row["bucket"]] += row["rows"]
    return dict(counts)


def counted(result: SqlStepResult) -> dict[str, int]:
    return {outcome.name: n for outcome, n in zip(Outcome, result.counts, strict=True) if n}


def run_sql(open_bench: Open, rows: int = 8, seed: Any = None, **definition: Any) -> Any:
    bench = open_bench(sql_parcels(**definition))
    bench.seed(rows, **(seed or {}))
    return bench, bench.execute()


def test_a_constant_status_moves_all_runs_and_sets_their_fields(open_bench: Open) -> None:
    bench, result = run_sql(open_bench, values={"label": "'L' || weight", "note": "NULL"})
    assert (result.runs, counted(result)) == (8, {"ADVANCED": 8})
    assert moved_counts(result) == {(1, 0): 8}
    assert bench.rows("status, run_state, version, label, updated_at", "seq = 5") == [
        ("CHECKED", "RUNNING", 2, "L5", LATER)
    ]
    columns = "from_status, to_status, outcome, run_state, attempt, version, committed_at"
    assert (
        bench.transitions(columns) == [("NEW", "CHECKED", "advanced", "RUNNING", 1, 2, LATER)] * 8
    )


def test_an_expression_chooses_the_status_and_terminal_ones_complete(open_bench: Open) -> None:
    bench, result = run_sql(open_bench, status=BY_WEIGHT)
    assert moved_counts(result) == {(1, 0): 3, (2, 0): 5}
    assert bench.questions.counts().fetchall() == [
        ("CHECKED", "RUNNING", 3),
        ("REFUSED", "COMPLETED", 5),
    ]
    assert bench.transitions("to_status, run_state")[2:4] == [
        ("CHECKED", "RUNNING"),
        ("REFUSED", "COMPLETED"),
    ]


def test_expressions_see_the_columns_as_they_were_before(open_bench: Open) -> None:
    swap = {"label": "coalesce(note, 'none')", "note": "label"}
    bench, _ = run_sql(open_bench, 1, {"note": "'before'"}, values=swap, status="CHECKED")
    assert bench.rows("label, note") == [("before", "none")]


def test_only_due_runnable_runs_of_the_span_are_moved(open_bench: Open) -> None:
    bench = open_bench(sql_parcels())
    later_still = LATER + dt.timedelta(minutes=1)
    bench.seed(
        10,
        run_state="CASE range WHEN 3 THEN 'PAUSED' ELSE 'RUNNING' END",
        next_attempt_at=f"CASE range WHEN 4 THEN TIMESTAMPTZ '{later_still}' END",
    )
    result = bench.execute(2, 6)
    assert result.runs == 3
    assert bench.rows("seq", "status = 'CHECKED'") == [(2,), (5,), (6,)]


def test_a_span_without_runs_does_nothing(open_bench: Open) -> None:
    bench, _ = run_sql(open_bench)
    result = bench.execute()
    assert (result.runs, result.moved_counts.num_rows, counted(result)) == (0, 0, {})


def test_an_expression_that_raises_fails_its_own_runs_alone(open_bench: Open) -> None:
    bench, result = run_sql(open_bench, values={"weight": FAILING})
    assert counted(result) == {"ADVANCED": 6, "FAILED": 2}
    assert (result.runs, moved_counts(result)) == (8, {(1, 0): 6})
    assert bench.rows("weight, status, attempt, version", "seq IN (1, 2)") == [
        (1, "NEW", 2, 2),
        (4, "CHECKED", 1, 2),
    ]
    errors = bench.errors("seq, status, step, attempt, type, message, fingerprint")
    assert [error[:5] for error in errors] == [
        (seq, "NEW", "sql:NEW", 1, "ConversionException") for seq in (1, 5)
    ]
    assert errors[0][5] == "a value can't be converted to INT32"
    assert len({error[6] for error in errors}) == 1
    assert bench.transitions("outcome")[1] == ("failed",)


def test_a_failed_run_waits_for_its_backoff(open_bench: Open) -> None:
    retry = Retry(backoff_seconds=60, jitter=0)
    bench, result = run_sql(open_bench, values={"weight": FAILING}, retry=retry)
    due = LATER + dt.timedelta(seconds=60)
    assert bench.rows("next_attempt_at, run_state, reason", "seq = 1") == [(due, "RUNNING", None)]
    assert result.next_attempt_at == due
    assert bench.execute(now=due).counts[Outcome.FAILED] == 2
    assert bench.rows("attempt, next_attempt_at", "seq = 1") == [
        (3, due + dt.timedelta(seconds=120))
    ]


def test_a_run_that_fails_too_often_is_paused_with_the_reason(open_bench: Open) -> None:
    bench, _ = run_sql(
        open_bench, values={"weight": FAILING}, retry=Retry(backoff_seconds=0, pause_after=2)
    )
    result = bench.execute()
    assert result.next_attempt_at is None
    assert bench.rows("run_state, reason", "seq = 1") == [
        ("PAUSED", "failed 2 times in a row, last with ConversionException")
    ]
    assert bench.execute().runs == 0


def test_an_exception_that_is_never_retried_pauses_at_once(open_bench: Open) -> None:
    retry = Retry(never_on=(duckdb.ConversionException,))
    bench, _ = run_sql(open_bench, values={"weight": FAILING}, retry=retry)
    assert bench.rows("run_state", "seq = 1") == [("PAUSED",)]


def test_a_run_that_succeeds_after_a_failure_is_at_its_first_attempt(open_bench: Open) -> None:
    retried = {"attempt": "3", "next_attempt_at": f"TIMESTAMPTZ '{NOW}'", "reason": "'why'"}
    bench, result = run_sql(open_bench, 2, retried, values={"label": "'done'"})
    assert counted(result) == {"ADVANCED": 2}
    columns = "status, attempt, next_attempt_at, reason, label"
    assert bench.rows(columns) == [("CHECKED", 1, None, None, "done")] * 2
    assert bench.transitions("attempt, version") == [(3, 2)] * 2


@pytest.mark.parametrize(
    ("status", "answered"),
    [
        ("CASE WHEN weight = 1 THEN 'DONE' ELSE 'CHECKED' END", "answered with 'DONE'"),
        ("CASE WHEN weight = 1 THEN 'secret' ELSE 'CHECKED' END", "with an unknown status"),
        ("CASE WHEN weight <> 1 THEN 'CHECKED' END", "answered with NULL"),
        ("CASE WHEN weight = 1 THEN 'NEW' ELSE 'CHECKED' END", "answered with 'NEW'"),
    ],
)
def test_a_status_that_was_not_declared_fails_its_own_run(
    open_bench: Open, status: str, answered: str
) -> None:
    bench, result = run_sql(open_bench, 3, status=status)
    assert counted(result) == {"ADVANCED": 2, "FAILED": 1}
    [(seq, kind, message)] = bench.errors("seq, type, message")
    assert (seq, kind) == (1, "InvalidOutcome")
    assert answered in message
    assert "sql:NEW" in message
    assert "CHECKED, REFUSED" in message
    assert "secret" not in message


def test_a_null_in_a_field_that_can_not_be_null_fails_its_own_run(open_bench: Open) -> None:
    bench, result = run_sql(open_bench, 3, values={"label": "nullif('L' || weight, 'L1')"})
    assert counted(result) == {"ADVANCED": 2, "FAILED": 1}
    [(seq, kind, message)] = bench.errors("seq, type, message")
    assert (seq, kind) == (1, "InvalidObject")
    assert "label" in message
    assert bench.rows("label") == [("L0",), ("none",), ("L2",)]


def test_volatile_expressions_are_isolated_too(open_bench: Open) -> None:
    expression = f"{FAILING} + (random() * 0)::INTEGER"
    bench, result = run_sql(open_bench, 80, values={"weight": expression})
    assert counted(result) == {"ADVANCED": 60, "FAILED": 20}
    failed = {seq for (seq,) in bench.errors("seq")}
    assert failed == {seq for seq in range(80) if seq % 4 == 1}


@pytest.mark.parametrize("extra", ["", " + (random() * 0)::INTEGER"])
def test_all_runs_may_fail(open_bench: Open, extra: str) -> None:
    bench, result = run_sql(open_bench, 4, values={"weight": f"CAST(label AS INTEGER){extra}"})
    assert counted(result) == {"FAILED": 4}
    assert result.moved_counts.num_rows == 0
    assert bench.rows("status, attempt") == [("NEW", 2)] * 4


def test_many_failures_share_one_cause_and_are_quickly_found(open_bench: Open) -> None:
    bench, result = run_sql(open_bench, 20_000, values={"weight": FAILING})
    assert counted(result) == {"ADVANCED": 15_000, "FAILED": 5_000}
    [(count, runs)] = bench.questions.errors().select("count, runs").fetchall()
    assert (count, runs) == (5_000, 5_000)


def test_the_outcome_of_a_run_does_not_depend_on_the_span(open_bench: Open, path: Any) -> None:
    whole, _ = run_sql(open_bench, 20, values={"weight": FAILING}, status=BY_WEIGHT)
    single = open_bench(
        sql_parcels(values={"weight": FAILING}, status=BY_WEIGHT), path.with_name("single.duckdb")
    )
    single.seed(20)
    for seq in range(20):
        single.execute(seq, seq)
    columns = "seq, status, run_state, version, attempt, weight, label"
    assert single.rows(columns) == whole.rows(columns)
    transitions = "seq, from_status, to_status, outcome, run_state, attempt, version"
    assert single.transitions(transitions) == whole.transitions(transitions)


def test_each_span_is_checked_for_values_that_do_not_fit(open_bench: Open) -> None:
    # The types of the expressions are known from the first span on, but not the values.
    bench = open_bench(sql_parcels(values={"weight": "weight / 2"}, status="CHECKED"))
    bench.seed(4)
    assert [counted(bench.execute(seq, seq)) for seq in range(4)] == [
        {"ADVANCED": 1},
        {"FAILED": 1},
        {"ADVANCED": 1},
        {"FAILED": 1},
    ]
    assert bench.rows("weight", "status = 'CHECKED'") == [(0,), (1,)]


def test_runs_that_others_moved_at_the_same_time_are_distinguished(open_bench: Open) -> None:
    bench = open_bench(sql_parcels())
    bench.seed(
        6,
        status="CASE WHEN range < 2 THEN 'CHECKED' ELSE 'NEW' END",
        updated_at=f"TIMESTAMPTZ '{LATER}'",
    )
    result = bench.execute(now=LATER)
    assert result.runs == 4
    assert [seq for (seq,) in bench.transitions("seq")] == [2, 3, 4, 5]


@pytest.mark.parametrize("attempt", [1, 2])
def test_fields_of_every_type_can_be_set(open_bench: Open, attempt: int) -> None:
    workflow: Workflow[Any, Any] = Workflow("everything", Everything, Status)
    fields = {field.column: field.name for field in workflow.fields}
    values = {fields[column]: sql for column, (sql, _) in VALUES.items()}
    workflow.sql_step(Status.NEW, to=[Status.DONE], set=values)
    bench = open_bench(workflow, ":memory:")
    put_everything(bench, rows=3, attempt=attempt)
    assert bench.execute().runs == 3
    found = bench.questions.get(bench.run_id(0)).object
    assert {column: getattr(found, fields[column]) for column in VALUES} == {
        column: value for column, (_, value) in VALUES.items()
    }


def test_expressions_that_duckdb_rejects_are_rejected_when_the_store_is_opened(
    open_bench: Open,
) -> None:
    definition = sql_parcels(values={"label": "lable || 'x'"}, status="CASE WHEN THEN 1")
    with pytest.raises(DefinitionError, match="sql:NEW"):
        open_bench(definition)
    with pytest.raises(DefinitionError, match="lable"):
        open_bench(sql_parcels(values={"label": "lable || 'x'"}))
    with pytest.raises(DefinitionError, match="did you mean 'PAUSED'"):
        open_bench(sql_parcels(values={"label": "if(run_state = 'PUASED', 'x', label)"}))
    assert open_bench(parcels()).rows("seq") == []


@pytest.mark.parametrize(("parameter", "found"), [("?", "positional"), ("$nwo", "nwo")])
def test_an_unknown_parameter_is_rejected_when_the_store_is_opened(
    open_bench: Open, parameter: str, found: str
) -> None:
    with pytest.raises(DefinitionError, match=f"(?s)sql:NEW.*{found}"):
        open_bench(sql_parcels(values={"label": parameter}))


def test_expressions_get_the_time_of_the_clock_even_if_others_raise(
    open_bench: Open,
) -> None:
    bench = open_bench(sql_parcels(values={"label": "CAST($now AS VARCHAR)", "weight": FAILING}))
    bench.seed(3)
    assert counted(bench.execute(now=LATER)) == {"ADVANCED": 2, "FAILED": 1}
    assert bench.rows("label::TIMESTAMPTZ", "weight <> 1") == [(LATER,)] * 2


def test_sql_steps_move_runs_without_recorded_transitions(open_bench: Open) -> None:
    workflow: Workflow[Any, Any] = Workflow(
        "parcels", sql_parcels().object_type, Status, record_transitions=False
    )
    workflow.sql_step(Status.NEW, to=[Status.DONE], set={"weight": FAILING})
    bench = open_bench(workflow)
    bench.seed(4)
    assert counted(bench.execute()) == {"ADVANCED": 3, "FAILED": 1}
    assert bench.rows("status", "seq <> 1") == [("DONE",)] * 3
