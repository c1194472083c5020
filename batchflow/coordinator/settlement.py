"""The settlement of a chunk: its results become a commit, by operations on whole columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import numpy as np
import pyarrow as pa

from batchflow.chunk.result import (
    FAILURE_SCHEMA,
    NO_DESTINATION,
    REASON_SCHEMA,
    ChunkResult,
)
from batchflow.definition import Outcome, RunState
from batchflow.definition.outcome import KEEPS_CHANGES, RECORDED
from batchflow.definition.retry_decision import FailedAttempts, RetryDecision, decide
from batchflow.store import StepCommit
from batchflow.worker.failure import fingerprint_of

if TYPE_CHECKING:
    from datetime import datetime

    from batchflow.coordinator.claim import ClaimedChunk
    from batchflow.executor.protocol import LostChunk
    from batchflow.store import CommitResult


def _state_after(outcome: Outcome) -> RunState:
    """Return the run state of a run that doesn't move; a failure may pause it as well."""
    match outcome:
        case Outcome.FAILED:
            return RunState.RUNNING
        case Outcome.PAUSED:
            return RunState.PAUSED
        case Outcome.CANCELLED:
            return RunState.CANCELLED
        case Outcome.ADVANCED | Outcome.REPEATED | Outcome.SKIPPED | Outcome.RETURNED:
            return RunState.RUNNING  # It isn't looked up.
        case _:
            assert_never(outcome)


_TIMESTAMP = pa.timestamp("us", "UTC")
_IS_UNMOVED = RECORDED & ~KEEPS_CHANGES
_IS_MOVED = RECORDED & KEEPS_CHANGES
_STATES = np.array([_state_after(outcome) for outcome in Outcome], np.uint8)
_FAILURE_TEXTS = ("type", "message", "traceback", "fingerprint")


@dataclass(frozen=True)
class SettledChunk:
    """The results of a chunk, split by what happens with the runs.

    Attributes:
        commit: The results to store; None if there are none.
        counts: The runs by outcome, int64 of shape (len(Outcome),).
        skipped: The runs that are left alone until something changes them.
        returned: The runs that weren't executed.
        seconds: The time in the step's code.
    """

    chunk: ClaimedChunk
    commit: StepCommit | None
    counts: np.ndarray
    skipped: pa.Table
    returned: pa.Table
    seconds: float


def settle(
    chunk: ClaimedChunk, result: ChunkResult, now: datetime, random: np.random.Generator
) -> SettledChunk:
    """Split the results of a chunk; the step's retry policy decides about failures."""
    outcomes = result.outcomes
    counts = np.bincount(outcomes, minlength=len(Outcome))
    commit = None
    if counts[_IS_UNMOVED | _IS_MOVED].any():
        commit = StepCommit(
            workflow=chunk.claim.workflow,
            step=chunk.claim.step,
            moved=_moved(chunk, result),
            unmoved=_unmoved(chunk, result, now, random),
            errors=_errors(chunk, result),
        )
    return SettledChunk(
        chunk=chunk,
        commit=commit,
        counts=counts,
        skipped=_where(chunk.rows, outcomes == Outcome.SKIPPED),
        returned=_where(chunk.rows, outcomes == Outcome.RETURNED),
        seconds=result.seconds,
    )


def result_of_lost(lost: LostChunk) -> ChunkResult:
    """Return the result for a single run that ended its worker: it failed."""
    failure = {
        "row": 0,
        "type": lost.error_type,
        "message": lost.cause,
        "traceback": "",
        "fingerprint": fingerprint_of([lost.error_type, lost.cause]),
        "retryable": True,
    }
    return ChunkResult(
        chunk_id=lost.chunk_id,
        outcomes=np.array([Outcome.FAILED], np.int8),
        to_codes=np.array([NO_DESTINATION], np.int16),
        changes={},
        failures=pa.Table.from_pylist([failure], FAILURE_SCHEMA),
        reasons=REASON_SCHEMA.empty_table(),
        seconds=0.0,
    )


def refused_counts_of(commit: StepCommit, stored: CommitResult) -> np.ndarray:
    """Count the runs of a commit that the store refused, by outcome: int64, (len(Outcome),)."""
    counts = np.zeros(len(Outcome), np.int64)
    if len(stored.refused_seqs):
        for rows in (commit.moved, commit.unmoved):
            refused = np.isin(rows["#seq"].to_numpy(), stored.refused_seqs)
            counts += np.bincount(rows["#outcome"].to_numpy()[refused], minlength=len(Outcome))
    return counts


def counts_of(commit: StepCommit) -> np.ndarray:
    """Count the runs of a commit by outcome: int64 of shape (len(Outcome),)."""
    outcomes = np.concatenate([t["#outcome"].to_numpy() for t in (commit.moved, commit.unmoved)])
    return np.bincount(outcomes, minlength=len(Outcome))


def _moved(chunk: ClaimedChunk, result: ChunkResult) -> pa.Table:
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        name: chunk.rows[name] for name in ("#seq", "#version", "#attempt", "#run_state")
    }
    columns["#to"] = pa.array(result.to_codes.clip(0).astype(np.uint8))
    columns["#outcome"] = pa.array(result.outcomes.astype(np.uint8))
    for name, change in result.changes.items():
        columns[name] = change.values
        if change.written is not None:
            columns[f"#set:{name}"] = pa.array(change.written)
    return _where(pa.table(columns), _IS_MOVED[result.outcomes])


def _unmoved(
    chunk: ClaimedChunk, result: ChunkResult, now: datetime, random: np.random.Generator
) -> pa.Table:
    rows = np.flatnonzero(_IS_UNMOVED[result.outcomes])
    unmoved = chunk.rows.select(["#seq", "#version", "#attempt"]).take(rows)
    failed = result.outcomes[rows] == Outcome.FAILED
    attempts = unmoved["#attempt"].to_numpy()
    decision = decide(
        chunk.claim.step.options.retry,
        _failed_attempts(result, rows[failed], attempts[failed]),
        now,
        random,
    )
    unmoved = unmoved.append_column("#next_attempt", pa.array((attempts + failed).astype(np.int32)))
    for name, column in _stopped_or_retried(result, rows, failed, decision).items():
        unmoved = unmoved.append_column(name, column)
    return unmoved


def _stopped_or_retried(
    result: ChunkResult, rows: np.ndarray, failed: np.ndarray, decision: RetryDecision
) -> dict[str, pa.Array]:
    """Return the outcomes and their consequences: those of failures are decided already."""
    outcomes = result.outcomes[rows]
    states = _STATES[outcomes]
    states[failed] = np.where(decision.pauses, RunState.PAUSED, RunState.RUNNING)
    moments = np.full(len(rows), np.datetime64("NaT", "us"))
    moments[failed] = decision.next_attempt_at
    reasons = _given_reasons(result)[rows]
    reasons[failed] = decision.reasons
    return {
        "#outcome": pa.array(outcomes.astype(np.uint8)),
        "#run_state": pa.array(states),
        "#next_attempt_at": pa.array(moments, _TIMESTAMP),
        "#reason": pa.array(reasons, pa.string()),
    }


def _failed_attempts(result: ChunkResult, rows: np.ndarray, attempts: np.ndarray) -> FailedAttempts:
    failures = result.failures["row"].to_numpy()
    retryable = np.ones(result.num_rows, np.bool_)
    retryable[failures] = result.failures["retryable"].to_numpy()
    types = np.full(result.num_rows, None, np.object_)
    types[failures] = result.failures["type"].to_numpy()
    return FailedAttempts(attempts, retryable[rows], types[rows])


def _given_reasons(result: ChunkResult) -> np.ndarray:
    """Return the reasons that the step gave for pauses and cancellations, by row; or None."""
    reasons = np.full(result.num_rows, None, np.object_)
    rows, texts = (column.to_numpy() for column in result.reasons.columns)
    reasons[rows] = texts
    return reasons


def _errors(chunk: ClaimedChunk, result: ChunkResult) -> pa.Table:
    rows = result.failures["row"]
    errors = chunk.rows.select(["#seq", "#attempt"]).take(rows)
    for name in _FAILURE_TEXTS:
        errors = errors.append_column(name, result.failures[name])
    return errors


def _where(table: pa.Table, mask: np.ndarray) -> pa.Table:
    return table if mask.all() else table.filter(pa.array(mask))
