"""From what a step answered to what is to be stored: column operations over a whole chunk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

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
from batchflow.store import StepCommit

if TYPE_CHECKING:
    from batchflow.coordinator.claim import ClaimedChunk
    from batchflow.executor.protocol import LostChunk
    from batchflow.store import CommitSummary

_TIMESTAMP = pa.timestamp("us", "UTC")
_IS_HELD = RECORDED & ~KEEPS_CHANGES
_IS_MOVED = RECORDED & KEEPS_CHANGES
_FAILURE_TEXTS = ("type", "message", "traceback", "fingerprint")


@dataclass(frozen=True)
class Settled:
    """A chunk's results, sorted by what happens with them.

    Attributes:
        commit: what is to be stored; ``None`` when nothing is.
        counts: runs by outcome, int64 of shape (len(Outcome),).
        skipped: rows that are left alone until something changes them.
        returned: rows that weren't executed.
        seconds: the time in the step.
    """

    chunk: ClaimedChunk
    commit: StepCommit | None
    counts: np.ndarray
    skipped: pa.Table
    returned: pa.Table
    seconds: float


def settle(
    chunk: ClaimedChunk, result: ChunkResult, now: datetime, random: np.random.Generator
) -> Settled:
    """Sort a chunk's results; failures get their next attempt from the step's retry policy."""
    outcomes = result.outcomes
    counts = np.bincount(outcomes, minlength=len(Outcome))
    commit = None
    if counts[_IS_HELD | _IS_MOVED].any():
        commit = StepCommit(
            workflow=chunk.claim.workflow,
            step=chunk.claim.step,
            moved=_moved(chunk, result),
            held=_held(chunk, result, now, random),
            errors=_errors(chunk, result),
        )
    return Settled(
        chunk=chunk,
        commit=commit,
        counts=counts,
        skipped=_where(chunk.rows, outcomes == Outcome.SKIPPED),
        returned=_where(chunk.rows, outcomes == Outcome.RETURNED),
        seconds=result.seconds,
    )


def result_of_lost(lost: LostChunk) -> ChunkResult:
    """Answer for a run that ended its worker while it was alone there: it failed."""
    failure = {
        "row": 0,
        "type": lost.error_type,
        "message": lost.cause,
        "traceback": "",
        "fingerprint": lost.error_type,
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


def refused_by_outcome(commit: StepCommit, summary: CommitSummary) -> np.ndarray:
    """Count the results of a commit that the store refused, int64 of shape (len(Outcome),)."""
    counts = np.zeros(len(Outcome), np.int64)
    if len(summary.refused_seqs):
        for rows in (commit.moved, commit.held):
            refused = np.isin(rows["#seq"].to_numpy(), summary.refused_seqs)
            counts += np.bincount(rows["#outcome"].to_numpy()[refused], minlength=len(Outcome))
    return counts


def by_outcome(commit: StepCommit) -> np.ndarray:
    """Count the runs of a commit, int64 of shape (len(Outcome),)."""
    outcomes = np.concatenate([t["#outcome"].to_numpy() for t in (commit.moved, commit.held)])
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


def _held(
    chunk: ClaimedChunk, result: ChunkResult, now: datetime, random: np.random.Generator
) -> pa.Table:
    outcomes = result.outcomes
    rows = np.flatnonzero(_IS_HELD[outcomes])
    held = chunk.rows.select(["#seq", "#version", "#attempt"]).take(rows)
    attempts = held["#attempt"].to_numpy()
    failed = outcomes[rows] == Outcome.FAILED
    exhausted = failed & _exhausted(chunk, result, rows, attempts)
    states = np.full(len(rows), RunState.RUNNING, np.uint8)
    states[exhausted | (outcomes[rows] == Outcome.PAUSED)] = RunState.PAUSED
    states[outcomes[rows] == Outcome.CANCELLED] = RunState.CANCELLED
    waits = failed & ~exhausted
    held = held.append_column("#next_attempt", pa.array((attempts + failed).astype(np.int32)))
    held = held.append_column("#outcome", pa.array(outcomes[rows].astype(np.uint8)))
    held = held.append_column("#run_state", pa.array(states))
    held = held.append_column(
        "#next_attempt_at", _next_attempts(chunk, attempts, waits, now, random)
    )
    return held.append_column("#reason", _reasons(result, rows, exhausted, attempts))


def _exhausted(
    chunk: ClaimedChunk, result: ChunkResult, rows: np.ndarray, attempts: np.ndarray
) -> np.ndarray:
    """Tell which failures pause their run: those never retried, and those once too often."""
    retryable = np.ones(len(result.outcomes), np.bool_)
    retryable[result.failures["row"].to_numpy()] = result.failures["retryable"].to_numpy()
    exhausted: np.ndarray = ~retryable[rows] | chunk.claim.step.options.retry.pauses(attempts)
    return exhausted


def _next_attempts(
    chunk: ClaimedChunk,
    attempts: np.ndarray,
    waits: np.ndarray,
    now: datetime,
    random: np.random.Generator,
) -> pa.Array:
    seconds = chunk.claim.step.options.retry.backoff(attempts, random)
    since_epoch = int(now.timestamp() * 1_000_000) + (seconds * 1_000_000).astype(np.int64)
    return pa.array(since_epoch, mask=~waits).cast(_TIMESTAMP)


def _reasons(
    result: ChunkResult, rows: np.ndarray, exhausted: np.ndarray, attempts: np.ndarray
) -> pa.Array:
    """Answer the reason of each held row, null where there is none.

    A loop, but only over runs that were stopped, each of which has a text of its own.
    """
    given = dict(zip(*result.reasons.to_pydict().values(), strict=True))
    types = dict(
        zip(result.failures["row"].to_pylist(), result.failures["type"].to_pylist(), strict=True)
    )
    texts = [
        _pause_reason(int(attempt), types.get(row)) if worn else given.get(row)
        for row, worn, attempt in zip(rows.tolist(), exhausted, attempts, strict=True)
    ]
    return pa.array(texts, pa.string())


def _pause_reason(attempts: int, error_type: str | None) -> str:
    times = "once" if attempts == 1 else f"{attempts} times in a row"
    return f"failed {times}, last with {error_type}"


def _errors(chunk: ClaimedChunk, result: ChunkResult) -> pa.Table:
    rows = result.failures["row"]
    who = chunk.rows.select(["#seq", "#attempt"]).take(rows)
    for name in _FAILURE_TEXTS:
        who = who.append_column(name, result.failures[name])
    return who


def _where(table: pa.Table, mask: np.ndarray) -> pa.Table:
    return table if mask.all() else table.filter(pa.array(mask))


def earliest(held: pa.Table) -> datetime | None:
    """Answer when the first of the held runs is due again."""
    moments = held["#next_attempt_at"].drop_null().cast(pa.int64()).to_numpy()
    if not len(moments):
        return None
    return datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=int(moments.min()))
