"""Each outcome of a chunk leads to one thing, and all outcomes are covered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

import batchflow as bf
from batchflow.chunk import ChunkResult
from batchflow.chunk.result import FAILURE_SCHEMA, NO_DESTINATION, REASON_SCHEMA
from batchflow.coordinator.backlog import Span
from batchflow.coordinator.claim import Claim, ClaimedChunk
from batchflow.coordinator.costs import costs_of_results
from batchflow.coordinator.settlement import SettledChunk, counts_of, result_of_lost, settle
from batchflow.definition import Outcome, RunState
from batchflow.store.runs.moving import OUTCOMES
from kit.things import things

NOW = datetime(2026, 7, 1, tzinfo=UTC)
RETRY = bf.Retry(backoff_seconds=60, jitter=0, pause_after=3)


def settled(
    *outcomes: Outcome,
    attempts: list[int] | None = None,
    failures: list[dict[str, Any]] | None = None,
    reasons: dict[int, str] | None = None,
) -> SettledChunk:
    """Settle a chunk with a run for each outcome; its seqs begin at 100."""
    count = len(outcomes)
    workflow = things(retry=RETRY)
    rows = pa.table(
        {
            "#seq": pa.array(range(100, 100 + count), pa.int64()),
            "#version": pa.array([1] * count, pa.int32()),
            "#attempt": pa.array(attempts or [1] * count, pa.int32()),
            "#run_state": pa.array([RunState.INITIATED] * count, pa.uint8()),
        }
    )
    moves = (Outcome.ADVANCED, Outcome.REPEATED)
    result = ChunkResult(
        chunk_id=0,
        outcomes=np.array(outcomes, np.int8),
        to_codes=np.array([1 if o in moves else NO_DESTINATION for o in outcomes], np.int16),
        changes={},
        failures=pa.Table.from_pylist(failures or [], FAILURE_SCHEMA),
        reasons=pa.table(
            [list(reasons or {}), list((reasons or {}).values())], schema=REASON_SCHEMA
        ),
        seconds=0.5,
    )
    claim = Claim(workflow, workflow.steps[0], Span(0, 0, 0), rows)
    return settle(ClaimedChunk(claim, rows), result, NOW, np.random.default_rng(1))


def failure(row: int, *, retryable: bool = True, error_type: str = "ValueError") -> dict[str, Any]:
    texts = dict.fromkeys(("message", "traceback", "fingerprint", "cause"), "text")
    return {"row": row, "type": error_type, "retryable": retryable, **texts}


def test_a_run_of_each_outcome_is_in_exactly_one_table() -> None:
    chunk = settled(*Outcome, failures=[failure(int(Outcome.FAILED))])

    commit = chunk.first.commit
    assert commit is not None
    tables = (commit.moved, commit.unmoved, chunk.first.skipped, chunk.returned)
    seqs = [seq for table in tables for seq in table["#seq"].to_pylist()]
    assert sorted(seqs) == list(range(100, 100 + len(Outcome)))


def test_the_outcomes_that_a_commit_stores_are_those_that_the_log_records() -> None:
    chunk = settled(*Outcome, failures=[failure(int(Outcome.FAILED))])

    assert chunk.first.commit is not None
    (counts,) = counts_of(chunk.first.commit).values()
    assert set(np.flatnonzero(counts).tolist()) == OUTCOMES.keys()


def test_each_run_that_does_not_move_has_the_state_time_and_reason_of_its_outcome() -> None:
    chunk = settled(
        *(Outcome.FAILED, Outcome.CANCELLED, Outcome.ADVANCED, Outcome.FAILED),
        *(Outcome.PAUSED, Outcome.FAILED, Outcome.PAUSED),
        attempts=[1, 2, 1, 3, 2, 1, 1],
        failures=[
            # In any order.
            failure(5, retryable=False, error_type="SystemExit"),
            failure(0),
            failure(3),
        ],
        reasons={4: "look at it", 1: "not wanted"},
    )

    commit = chunk.first.commit
    assert commit is not None
    unmoved = commit.unmoved
    states = [RunState(state).name for state in unmoved["#run_state"].to_pylist()]
    names = ("#seq", "#next_attempt", "#next_attempt_at", "#reason")
    found = list(zip(*(unmoved[name].to_pylist() for name in names), states, strict=True))
    assert found == [
        (100, 2, datetime(2026, 7, 1, 0, 1, tzinfo=UTC), None, "RUNNING"),
        (101, 2, None, "not wanted", "CANCELLED"),
        (103, 4, None, "failed 3 times in a row, last with ValueError", "PAUSED"),
        (104, 2, None, "look at it", "PAUSED"),
        (105, 2, None, "failed once, last with SystemExit", "PAUSED"),
        (106, 1, None, None, "PAUSED"),
    ]
    assert commit.paused == 4
    assert commit.next_attempt_at == datetime(2026, 7, 1, 0, 1, tzinfo=UTC)


def test_a_chunk_without_recorded_outcomes_has_nothing_to_commit() -> None:
    assert not settled(Outcome.SKIPPED, Outcome.RETURNED).has_commit


def test_ends_of_workers_are_one_kind_of_failure_only_if_they_have_one_cause() -> None:
    def fingerprint(cause: str, error_type: str = "WorkerDied") -> str:
        lost = bf.LostChunk(0, True, range(1), error_type, cause)
        return str(result_of_lost(lost).failures["fingerprint"][0])

    exited, crashed = fingerprint("exit code 3"), fingerprint("signal 11 (SIGSEGV)")
    assert exited == fingerprint("exit code 3")
    assert len({exited, crashed, fingerprint("exit code 3", "StepTimeout")}) == 3


def test_a_chunk_is_divided_where_its_claim_has_other_runs_in_between() -> None:
    chunk = settled(*[Outcome.ADVANCED] * 4)
    rows = pa.table({"#seq": pa.array([109, 100, 101, 102, 103, 200], pa.int64())})
    claim = Claim(chunk.chunk.claim.workflow, chunk.first.step, Span(0, 0, 0), rows)
    whole = replace(chunk, chunk=replace(chunk.chunk, claim=claim))
    torn = replace(
        whole, chunk=ClaimedChunk(claim, chunk.chunk.rows.take([0, 1, 3]), submitted=5.0)
    )
    costs = costs_of_results([whole, torn], [], NOW, 6.0, 0.5)
    assert [(part.first_seq, part.last_seq, part.runs) for part in costs.chunks] == [
        (100, 103, 4),
        (100, 101, 2),
        (103, 103, 1),
    ]
    [step] = costs.steps
    assert (step.runs, step.chunks, step.commit_seconds) == (8, 2, 0.5)


def test_the_tables_of_a_chunk_without_failures_have_the_columns_of_the_others() -> None:
    moved, failed = settled(Outcome.ADVANCED), settled(Outcome.FAILED, failures=[failure(0)])

    assert moved.first.commit is not None
    assert failed.first.commit is not None
    assert moved.first.commit.unmoved.schema == failed.first.commit.unmoved.schema
    assert moved.first.commit.errors.schema == failed.first.commit.errors.schema
    skipped = settled(Outcome.SKIPPED).first.skipped
    assert moved.first.skipped.schema == skipped.schema
