from __future__ import annotations

from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from store_kit import LATER, NOW, Bench, Status, moved

from batchflow.definition.run_state import RunState, sources_of
from batchflow.errors import InvalidOptionError, QueryError, RunNotFoundError
from batchflow.operation import ControlReport

ALLOWED = {
    "pause": sources_of(RunState.PAUSED),
    "cancel": sources_of(RunState.CANCELLED),
    "resume": (RunState.PAUSED,),
}


def act(bench: Bench, operation: str, where: str | None = "true", **options: Any) -> ControlReport:
    given = {"reason": "because"} | options
    report: ControlReport = getattr(bench.at(LATER), operation)(where, **given)
    return report


def paused(changed: int, refused: int = 0) -> ControlReport:
    return ControlReport("paused", changed, refused)


@pytest.mark.parametrize("operation", ALLOWED)
@pytest.mark.parametrize("state", list(RunState))
def test_an_operation_changes_runs_of_the_run_states_in_the_table_and_refuses_others(
    bench: Bench, operation: str, state: RunState
) -> None:
    bench.seed(2, run_state=f"'{state.name}'")
    allowed = state in ALLOWED[operation]
    report = act(bench, operation)
    assert (report.changed, report.refused) == ((2, 0) if allowed else (0, 2))
    assert bench.rows("version") == [(2 if allowed else 1,)] * 2
    assert len(bench.transitions("seq")) == (2 if allowed else 0)


def test_pausing_says_why_and_is_recorded(bench: Bench) -> None:
    bench.seed(3)
    assert act(bench, "pause", "weight >= 1 -- the heavy ones") == paused(2, 0)
    assert bench.rows("run_state, reason, updated_at", "weight = 1") == [
        ("PAUSED", "because", LATER)
    ]
    columns = "seq, from_status, to_status, outcome, run_state, attempt, version, committed_at"
    assert bench.transitions(columns)[0] == (1, "NEW", "NEW", "paused", "PAUSED", 1, 2, LATER)
    assert bench.claim().num_rows == 1


def test_a_resumed_run_goes_on_as_on_its_first_attempt(bench: Bench) -> None:
    bench.seed(
        1,
        run_state="'PAUSED'",
        attempt="6",
        reason="'why'",
        next_attempt_at=f"TIMESTAMPTZ '{LATER}'",
    )
    assert act(bench, "resume") == ControlReport("resumed", 1, 0)
    columns = "run_state, attempt, next_attempt_at, reason"
    assert bench.rows(columns) == [("RUNNING", 1, None, None)]
    assert bench.transitions("outcome, attempt") == [("resumed", 6)]
    assert bench.claim().num_rows == 1


def test_cancelled_runs_are_never_claimed_again(bench: Bench) -> None:
    bench.seed(2)
    assert act(bench, "cancel", "seq = 0") == ControlReport("cancelled", 1, 0)
    assert act(bench, "resume") == ControlReport("resumed", 0, 2)
    assert bench.claim()["#seq"].to_pylist() == [1]


def test_runs_are_chosen_by_their_ids(bench: Bench) -> None:
    bench.seed(3)
    ids = [bench.run_id(2), bench.run_id(0), bench.run_id(2)]
    assert act(bench, "pause", None, run_ids=ids) == paused(2, 0)
    assert bench.rows("run_state") == [("PAUSED",), ("INITIATED",), ("PAUSED",)]


def test_no_ids_move_nothing(bench: Bench) -> None:
    bench.seed(1)
    assert act(bench, "pause", None, run_ids=[]) == paused(0, 0)


def test_an_unknown_id_is_refused_and_nothing_moves(bench: Bench) -> None:
    bench.seed(2)
    unknown = [bench.run_id(9), UUID(int=7)]
    with pytest.raises(RunNotFoundError, match="no run with 2 of 3 run ids") as caught:
        act(bench, "pause", None, run_ids=[bench.run_id(0), *unknown])
    assert str(unknown[0]) in str(caught.value)
    assert bench.rows("run_state") == [("INITIATED",)] * 2


def test_a_bad_predicate_says_what_duckdb_found_and_which_columns_there_are(bench: Bench) -> None:
    with pytest.raises(QueryError, match="wieght") as caught:
        act(bench, "pause", "wieght > 1")
    for column in ("run_id", "status", "next_attempt_at", "weight", "label", "note"):
        assert column in str(caught.value)


def test_a_predicate_that_fails_on_a_value_is_refused_as_well(bench: Bench) -> None:
    bench.seed(2)
    with pytest.raises(QueryError, match="can't be converted to INT32"):
        act(bench, "cancel", "label::INTEGER = 1")
    assert bench.rows("run_state") == [("INITIATED",)] * 2


@pytest.mark.parametrize(
    "where", ["true); DROP TABLE parcels.runs; SELECT (1", "", "1; SELECT 2", "false) OR (true"]
)
def test_what_is_no_single_predicate_is_refused(bench: Bench, where: str) -> None:
    bench.seed(2)
    with pytest.raises(QueryError):
        act(bench, "cancel", where)
    assert bench.rows("run_state") == [("INITIATED",)] * 2


def test_either_a_predicate_or_ids_have_to_be_given(bench: Bench) -> None:
    for where, run_ids in ((None, None), ("true", [])):
        with pytest.raises(InvalidOptionError, match="exactly one of where= and run_ids="):
            act(bench, "pause", where, run_ids=run_ids)


def test_what_are_no_run_ids_is_refused(bench: Bench) -> None:
    bench.seed(1)
    run_id = bench.run_id(0)
    for run_ids in (run_id, str(run_id)):
        with pytest.raises(InvalidOptionError, match="give a list of run ids"):
            act(bench, "pause", None, run_ids=run_ids)
    with pytest.raises(RunNotFoundError, match="None is no run id"):
        act(bench, "pause", None, run_ids=[None])
    assert bench.rows("run_state") == [("INITIATED",)]


def test_run_ids_may_be_texts(bench: Bench) -> None:
    bench.seed(1)
    assert act(bench, "pause", None, run_ids=[str(bench.run_id(0))]) == paused(1)


def test_a_dry_run_counts_and_changes_nothing(bench: Bench) -> None:
    bench.seed(3, run_state="CASE WHEN range = 0 THEN 'COMPLETED' ELSE 'RUNNING' END")
    assert act(bench, "pause", dry_run=True) == paused(2, 1)
    assert bench.rows("run_state") == [("COMPLETED",), ("RUNNING",), ("RUNNING",)]
    assert bench.transitions("seq") == []


def test_a_dry_run_waits_for_no_commit(bench: Bench) -> None:
    bench.seed(3)
    counted: list[ControlReport] = []
    with bench.store.connection.write():
        others = Thread(target=lambda: counted.append(act(bench, "pause", dry_run=True)))
        others.start()
        others.join(60)
        assert counted == [paused(3)]


def test_the_log_has_each_operation_with_its_reason_and_counts(bench: Bench) -> None:
    bench.seed(3)
    act(bench, "pause", "weight < 2", reason="prices are wrong")
    act(bench, "resume", "true", reason="prices are right")
    act(bench, "cancel", "true", dry_run=True)
    log = bench.questions.sql(
        "SELECT operation, reason, changed, refused, options ->> 'where' FROM batchflow.operations"
    )
    assert log.fetchall() == [
        ("pause", "prices are wrong", 2, 0, "weight < 2"),
        ("resume", "prices are right", 2, 1, "true"),
    ]
    history = bench.questions.history(bench.run_id(0)).select("outcome::VARCHAR, reason")
    assert history.fetchall() == [("paused", "prices are wrong"), ("resumed", "prices are right")]


def test_a_million_runs_are_paused_by_the_set(bench: Bench) -> None:
    bench.seed(1_000_000)
    assert act(bench, "pause", "weight % 2 = 0") == paused(500_000, 0)
    counts = bench.questions.counts().fetchall()
    assert counts == [("NEW", "INITIATED", 500_000), ("NEW", "PAUSED", 500_000)]


def test_pausing_runs_that_advanced_keeps_them_where_they_are(bench: Bench) -> None:
    bench.seed(1)
    bench.commit(moved(bench, bench.claim(), Status.CHECKED))
    act(bench, "pause")
    assert bench.rows("status, run_state, version") == [("CHECKED", "PAUSED", 3)]
    assert act(bench, "resume", reason="again") == ControlReport("resumed", 1, 0)
    assert bench.rows("status, run_state, updated_at > created_at") == [
        ("CHECKED", "RUNNING", LATER > NOW)
    ]
