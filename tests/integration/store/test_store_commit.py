from __future__ import annotations

import dataclasses
import threading
import weakref

import pyarrow as pa
import pytest
from store_kit import LATER, NOW, Bench, Status, failed, moved, parcels

from batchflow.definition.outcome import Outcome
from batchflow.definition.run_state import RunState
from batchflow.errors import CommitError
from batchflow.store import Store


def test_advanced_runs_are_at_their_destination_with_their_changes(bench: Bench) -> None:
    bench.seed(4)
    claimed = bench.claim().sort_by("#seq")
    to = [Status.CHECKED, Status.REFUSED, Status.CHECKED, Status.CHECKED]
    labels = pa.array(["a", "b", "c", "d"])
    [result] = bench.commit(moved(bench, claimed, to, label=labels), now=LATER)
    assert result.applied == 4
    assert result.refused_seqs.tolist() == []
    assert bench.rows("status, run_state, version, label, weight, updated_at") == [
        ("CHECKED", "RUNNING", 2, "a", 0, LATER),
        ("REFUSED", "COMPLETED", 2, "b", 1, LATER),
        ("CHECKED", "RUNNING", 2, "c", 2, LATER),
        ("CHECKED", "RUNNING", 2, "d", 3, LATER),
    ]
    columns = "from_status, to_status, outcome, run_state, attempt, version, committed_at"
    assert bench.transitions(columns)[:2] == [
        ("NEW", "CHECKED", "advanced", "RUNNING", 1, 2, LATER),
        ("NEW", "REFUSED", "advanced", "COMPLETED", 1, 2, LATER),
    ]


def test_a_field_written_for_some_runs_keeps_its_value_for_the_others(bench: Bench) -> None:
    bench.seed(2)
    claimed = bench.claim().sort_by("#seq")
    labels, mask = pa.array(["mine", "nonsense"]), pa.array([True, False])
    bench.commit(moved(bench, claimed, Status.CHECKED, label=labels, set_label=mask))
    assert bench.rows("label") == [("mine",), ("none",)]


def test_a_null_is_stored_for_runs_whose_step_set_none(bench: Bench) -> None:
    bench.seed(2, note="'old'")
    notes = pa.array([None, "new"])
    bench.commit(moved(bench, bench.claim().sort_by("#seq"), Status.CHECKED, note=notes))
    assert bench.rows("note") == [(None,), ("new",)]


def test_a_run_that_moves_after_a_failure_is_at_its_first_attempt(bench: Bench) -> None:
    retried = {"attempt": "3", "reason": "'why'", "next_attempt_at": f"TIMESTAMPTZ '{NOW}'"}
    bench.seed(1, **retried)
    bench.commit(moved(bench, bench.claim(), Status.CHECKED))
    assert bench.rows("attempt, next_attempt_at, reason") == [(1, None, None)]
    assert bench.transitions("attempt") == [(3,)]


def test_repeated_runs_stay_where_they_are_and_keep_their_changes(bench: Bench) -> None:
    bench.seed(1)
    commit = moved(bench, bench.claim(), Status.NEW, label=pa.array(["again"]))
    outcome = pa.array([Outcome.REPEATED], pa.uint8())
    table = commit.moved.set_column(
        commit.moved.column_names.index("#outcome"), "#outcome", outcome
    )
    bench.commit(dataclasses.replace(commit, moved=table))
    assert bench.rows("status, run_state, version, label") == [("NEW", "RUNNING", 2, "again")]
    assert bench.transitions("to_status, outcome") == [("NEW", "repeated")]


def test_failed_runs_wait_with_their_error_recorded(bench: Bench) -> None:
    bench.seed(1)
    bench.commit(failed(bench, bench.claim()), now=NOW)
    columns = "status, run_state, version, attempt, next_attempt_at, reason"
    assert bench.rows(columns) == [("NEW", "RUNNING", 2, 2, LATER, None)]
    assert bench.transitions("to_status, outcome, run_state, attempt") == [
        ("NEW", "failed", "RUNNING", 1)
    ]
    assert bench.errors("status, step, attempt, type, message, traceback, fingerprint") == [
        ("NEW", "_nothing", 1, "a type", "a message", "a traceback", "a fingerprint")
    ]
    assert bench.errors("cause, worker, chunk, seconds") == [("a cause", "a worker", 7, 0.5)]


def test_a_last_failure_pauses_with_the_reason(bench: Bench) -> None:
    bench.seed(1)
    bench.commit(failed(bench, bench.claim(), RunState.PAUSED, "too often"))
    assert bench.rows("run_state, reason, next_attempt_at") == [("PAUSED", "too often", None)]
    assert bench.transitions("outcome, run_state") == [("failed", "PAUSED")]


def test_a_run_that_was_paused_since_its_claim_is_not_overwritten(bench: Bench) -> None:
    bench.seed(3)
    claimed = bench.claim()
    bench.questions.pause("seq = 1", reason="stop")
    [result] = bench.commit(moved(bench, claimed, Status.CHECKED))
    assert result.applied == 2
    assert result.refused_seqs.tolist() == [1]
    assert bench.rows("status, run_state") == [
        ("CHECKED", "RUNNING"),
        ("NEW", "PAUSED"),
        ("CHECKED", "RUNNING"),
    ]
    assert bench.transitions("seq, outcome") == [(0, "advanced"), (1, "paused"), (2, "advanced")]


def test_a_refused_failure_leaves_no_error_behind(bench: Bench) -> None:
    bench.seed(2)
    claimed = bench.claim()
    bench.questions.cancel("seq = 0", reason="gone")
    [result] = bench.commit(failed(bench, claimed))
    assert result.refused_seqs.tolist() == [0]
    assert bench.errors("seq") == [(1,)]


def test_the_same_results_committed_twice_are_refused_the_second_time(bench: Bench) -> None:
    bench.seed(2)
    commit = moved(bench, bench.claim(), Status.CHECKED)
    bench.commit(commit)
    [result] = bench.commit(commit)
    assert result.applied == 0
    assert sorted(result.refused_seqs.tolist()) == [0, 1]
    assert len(bench.transitions("seq")) == 2


def test_several_steps_are_committed_together_or_not_at_all(bench: Bench) -> None:
    bench.seed(4, status="CASE WHEN range < 2 THEN 'NEW' ELSE 'CHECKED' END")
    first = moved(bench, bench.claim(), Status.CHECKED)
    second = dataclasses.replace(
        moved(bench, bench.claim(Status.CHECKED), Status.DONE), step=bench.step(Status.CHECKED)
    )
    broken = dataclasses.replace(
        second, moved=second.moved.append_column("weight", pa.array([None, None], pa.int64()))
    )
    with pytest.raises(CommitError, match="nothing of it is stored"):
        bench.commit(first, broken)
    assert bench.rows("status, version") == [("NEW", 1)] * 2 + [("CHECKED", 1)] * 2
    assert bench.transitions("seq") == []
    applied = [result.applied for result in bench.commit(first, second)]
    assert applied == [2, 2]
    assert bench.rows("status") == [("CHECKED",)] * 2 + [("DONE",)] * 2


def test_a_run_that_is_twice_in_a_commit_is_an_error(bench: Bench) -> None:
    bench.seed(1)
    claimed = bench.claim()
    with pytest.raises(CommitError, match="twice"):
        bench.commit(moved(bench, pa.concat_tables([claimed, claimed]), Status.CHECKED))
    assert bench.rows("version") == [(1,)]


def test_a_commit_survives_reopening(file_bench: Bench, open_bench: object) -> None:
    assert callable(open_bench)
    file_bench.seed(1)
    file_bench.commit(moved(file_bench, file_bench.claim(), Status.CHECKED))
    file_bench.store.close()
    again = open_bench()
    assert again.rows("status, version") == [("CHECKED", 2)]


def test_runs_move_without_recorded_transitions() -> None:
    workflow = parcels(record_transitions=False)
    store = Store.open(":memory:", [workflow], clock=lambda: NOW)
    bench = Bench(store, workflow)
    bench.seed(2)
    bench.commit(moved(bench, bench.claim(), Status.CHECKED))
    assert bench.rows("status") == [("CHECKED",), ("CHECKED",)]
    store.close()


def test_threads_commit_and_read_at_the_same_time(bench: Bench) -> None:
    bench.seed(1_000)
    chunks = [bench.claim().slice(start, 100) for start in range(0, 1_000, 100)]
    problems: list[BaseException] = []

    def work(chunk: pa.Table) -> None:
        try:
            bench.commit(moved(bench, chunk, Status.CHECKED))
            assert sum(row[2] for row in bench.questions.counts().fetchall()) == 1_000
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(chunk,)) for chunk in chunks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(bench.rows("seq", "status = 'CHECKED'")) == 1_000


def test_results_are_not_kept_in_memory_after_their_commit(bench: Bench) -> None:
    bench.seed(2)
    commit = moved(bench, bench.claim(), Status.CHECKED)
    results = weakref.ref(commit.moved)
    bench.commit(commit)
    del commit
    assert results() is None


def test_a_commit_after_a_refused_one_reads_its_own_results(bench: Bench) -> None:
    bench.seed(3)
    claimed = bench.claim().sort_by("#seq")
    first = moved(bench, claimed.slice(0, 1), Status.CHECKED)
    twice = dataclasses.replace(first, moved=pa.concat_tables([first.moved, first.moved]))
    with pytest.raises(CommitError):
        bench.commit(twice)
    [result] = bench.commit(moved(bench, claimed.slice(1), Status.CHECKED))
    assert result.applied == 2
    assert bench.rows("seq, status") == [(0, "NEW"), (1, "CHECKED"), (2, "CHECKED")]
