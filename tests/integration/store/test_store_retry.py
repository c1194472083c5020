"""Putting runs back that failed, were stopped or have finished."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import pytest
from store_kit import LATER, NOW, Bench, Status, failed, moved

from batchflow.definition.run_state import RunState
from batchflow.errors import ConflictError, DefinitionError, InvalidOptionError, RunNotFoundError
from batchflow.operation import ControlReport

REFUSED = {
    RunState.INITIATED: "in progress",
    RunState.RUNNING: "in progress",
    RunState.REQUESTED_DATA_DELETED: "REQUESTED_DATA_DELETED",
    RunState.DATA_DELETED: "DATA_DELETED",
}


def retry(bench: Bench, where: str | None = "true", **options: Any) -> ControlReport:
    given = {"reason": "fixed"} | options
    return bench.at(LATER).retry(where, **given)


def outcome(report: ControlReport) -> tuple[int, dict[str, int]]:
    assert report.action == "retried"
    assert report.refused == sum(report.refusals.values())
    return report.changed, dict(report.refusals)


@pytest.mark.parametrize("state", list(RunState))
def test_runs_that_are_stopped_or_finished_are_put_back_and_others_refused(
    bench: Bench, state: RunState
) -> None:
    bench.seed(2, run_state=f"'{state.name}'")
    refused = {REFUSED[state]: 2} if state in REFUSED else {}
    assert outcome(retry(bench)) == (0 if refused else 2, refused)
    assert bench.rows("run_state, version") == [(state.name, 1) if refused else ("RUNNING", 2)] * 2


def test_a_run_that_waits_for_a_retry_is_due_at_once_on_its_first_attempt(bench: Bench) -> None:
    bench.seed(2)
    bench.commit(failed(bench, bench.claim()))
    assert outcome(retry(bench, "seq = 0")) == (1, {})
    assert bench.rows("attempt, next_attempt_at, reason") == [(1, None, None), (2, LATER, None)]


def test_a_run_continues_at_another_status_with_its_object_and_its_history(bench: Bench) -> None:
    bench.seed(1, status="'REFUSED'", run_state="'COMPLETED'", attempt="3", reason="'old'")
    assert outcome(retry(bench, at=Status.NEW)) == (1, {})
    columns = "status, run_state, attempt, reason, version, weight, updated_at"
    assert bench.rows(columns) == [("NEW", "RUNNING", 1, None, 2, 0, LATER)]
    columns = "from_status, to_status, outcome, run_state, attempt, version, committed_at, reason"
    assert bench.transitions(columns) == [
        ("REFUSED", "NEW", "retried", "RUNNING", 3, 2, LATER, "fixed")
    ]
    log = bench.questions.sql(
        "SELECT operation, outcome, reason, changed, refused, options ->> 'at' "
        "FROM batchflow.operations"
    )
    assert log.fetchall() == [("retry", "retried", "fixed", 1, 0, "NEW")]


def test_a_run_at_a_status_without_a_step_needs_another_status(bench: Bench) -> None:
    bench.seed(2, status="'DONE'", run_state="'COMPLETED'")
    assert outcome(retry(bench)) == (0, {"at a status without a step": 2})
    with pytest.raises(InvalidOptionError, match=r"no step at DONE, .* give one of NEW, CHECKED"):
        retry(bench, at="DONE")
    with pytest.raises(DefinitionError, match="'LOST' is not a status"):
        retry(bench, at="LOST")
    assert outcome(retry(bench, at="CHECKED")) == (2, {})


def test_a_status_may_be_a_member_that_a_description_has_made(bench: Bench) -> None:
    made = enum.Enum("Status", {"NEW": "NEW", "CHECKED": "CHECKED"})
    bench.seed(1, status="'DONE'", run_state="'COMPLETED'")
    assert outcome(retry(bench, at=made["CHECKED"])) == (1, {})


def test_a_run_that_a_step_is_executing_is_refused(bench: Bench) -> None:
    bench.seed(3, attempt="2")
    rows = bench.claim()
    bench.store.claimed.add(bench.workflow.name, "a claim", rows.slice(0, 2))
    # The claim of a run ends with its commit, though that of its neighbours doesn't.
    bench.commit(failed(bench, rows.slice(0, 1)))
    done = rows["#seq"][0].as_py()
    executed = rows["#seq"][1].as_py()
    assert outcome(retry(bench)) == (2, {"in progress": 1})
    assert bench.rows("version", f"seq = {done}") == [(3,)]
    assert bench.rows("version", f"seq = {executed}") == [(1,)]


def test_a_late_result_for_a_retried_run_is_refused(bench: Bench) -> None:
    bench.seed(1, attempt="2")
    late = bench.claim()
    assert outcome(retry(bench)) == (1, {})
    [summary] = bench.commit(moved(bench, late, Status.CHECKED))
    assert summary.refused_seqs.tolist() == [0]


def test_no_foreign_id_gets_a_second_unfinished_run(bench: Bench) -> None:
    # f0 twice and f1 once are finished; f2 has a finished run and an unfinished one.
    bench.seed(
        5,
        foreign_id="['f0', 'f0', 'f1', 'f2', 'f2'][range + 1]",
        run_state="CASE WHEN range = 4 THEN 'RUNNING' ELSE 'CANCELLED' END",
    )
    expected = (2, {"whose foreign id has another run": 2, "in progress": 1})
    assert outcome(retry(bench, dry_run=True)) == expected
    assert outcome(retry(bench)) == expected
    assert bench.rows("seq", "run_state = 'RUNNING'") == [(1,), (2,), (4,)]
    assert outcome(retry(bench, "seq = 0")) == (0, {"whose foreign id has another run": 1})


def test_runs_without_a_foreign_id_are_independent(bench: Bench) -> None:
    bench.seed(2, foreign_id="NULL", run_state="'CANCELLED'")
    assert outcome(retry(bench)) == (2, {})


def test_a_foreign_id_of_a_run_that_was_put_back_is_refused_by_a_trigger(
    open_bench: Callable[..., Bench],
) -> None:
    bench = open_bench(at=":memory:")
    given = {"weight": 1, "label": "a", "note": None}
    at = bench.at(NOW)
    run_id = at.trigger("a", given, at="NEW")
    at.cancel(run_ids=[run_id])
    # It isn't among the unfinished runs that the store keeps in memory.
    other = at.trigger("b", given, at="NEW")
    at.cancel(run_ids=[other])
    at.trigger("b", given, at="NEW")
    assert outcome(retry(bench, None, run_ids=[run_id, other])) == (
        1,
        {"whose foreign id has another run": 1},
    )
    with pytest.raises(ConflictError, match="'a' has an unfinished run"):
        at.trigger("a", given, at="NEW")


def test_runs_are_chosen_by_their_ids_or_a_predicate_with_parameters(bench: Bench) -> None:
    bench.seed(3, run_state="'PAUSED'")
    assert outcome(retry(bench, None, run_ids=[str(bench.run_id(2))])) == (1, {})
    assert outcome(retry(bench, "weight = ?", params=[0])) == (1, {})
    with pytest.raises(RunNotFoundError, match="no run with the run id"):
        retry(bench, None, run_ids=[bench.run_id(7)])
    assert bench.rows("run_state") == [("RUNNING",), ("PAUSED",), ("RUNNING",)]


def test_a_dry_run_counts_and_changes_nothing(bench: Bench) -> None:
    bench.seed(2, run_state="CASE WHEN range = 0 THEN 'PAUSED' ELSE 'RUNNING' END")
    report = retry(bench, dry_run=True)
    assert outcome(report) == (1, {"in progress": 1})
    assert str(report) == "1 run would be retried, 1 run would be refused (1 in progress)"
    assert bench.rows("version") == [(1,), (1,)]
    assert bench.transitions("seq") == []


def test_a_retried_run_is_counted_once_by_every_question(bench: Bench) -> None:
    bench.seed(2)
    bench.commit(moved(bench, bench.claim(), Status.REFUSED))
    retry(bench, "seq = 0", at=Status.NEW)
    second = bench.store.claim(bench.workflow, 0, 0, 10, LATER, ())
    bench.commit(moved(bench, second, Status.REFUSED), now=LATER)
    asked = bench.questions
    assert asked.counts().fetchall() == [("REFUSED", "COMPLETED", 2)]
    assert asked.funnel().filter("reached > 0").fetchall() == [
        ("NEW", 2, 0, 2),
        ("REFUSED", 2, 2, 1),
    ]
    # Its stay at REFUSED ended as it was retried.
    assert asked.durations().select("status, runs, max_seconds").fetchall() == [
        ("NEW", 3, 0.0),
        ("REFUSED", 1, 3600.0),
    ]
    assert asked.throughput(3600).select("status, runs").fetchall() == [("NEW", 2), ("NEW", 1)]
    assert asked.transitions().fetchall() == [
        ("NEW", "REFUSED", "advanced", 3),
        ("REFUSED", "NEW", "retried", 1),
    ]
    assert asked.ages().fetchall() == []
