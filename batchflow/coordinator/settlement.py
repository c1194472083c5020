"""The settlement of a chunk: its results become a commit, by operations on whole columns."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, assert_never

import numpy as np
import pyarrow as pa

from batchflow.chunk.result import (
    FAILURE_SCHEMA,
    NO_DESTINATION,
    REASON_SCHEMA,
    ChunkResult,
)
from batchflow.columns.arrays import one_array
from batchflow.coordinator.executions import Executions
from batchflow.definition import Outcome, RunState
from batchflow.definition.cause import Raised, cause_of
from batchflow.definition.outcome import KEEPS_CHANGES, RECORDED
from batchflow.definition.retry_decision import FailedAttempts, RetryDecision, decide
from batchflow.store import StepCommit
from batchflow.worker.failure import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from batchflow.coordinator.claim import ClaimedChunk
    from batchflow.definition import Step
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
_FAILURE_TEXTS = ("type", "message", "traceback", "fingerprint", "cause")
# Mostly, no run of a chunk fails, and making its empty tables would take as long as the rest.
_NO_RUNS = pa.schema(
    {"#seq": pa.int64(), "#version": pa.int32(), "#attempt": pa.int32()}
).empty_table()
_NONE_UNMOVED = pa.schema(
    [
        *_NO_RUNS.schema,
        ("#next_attempt", pa.int32()),
        ("#outcome", pa.uint8()),
        ("#run_state", pa.uint8()),
        ("#next_attempt_at", _TIMESTAMP),
        ("#reason", pa.string()),
    ]
).empty_table()
_NO_ERRORS = pa.schema(
    [
        ("#seq", pa.int64()),
        ("#attempt", pa.int32()),
        *((name, pa.string()) for name in (*_FAILURE_TEXTS, "worker")),
        ("chunk", pa.int64()),
        ("seconds", pa.float64()),
    ]
).empty_table()


@dataclass(frozen=True)
class SettledStep:
    """The results of a step for the runs of a chunk, split by the further treatment of the runs.

    Attributes:
        step: The step.
        commit: The results to store; None if there are none.
        counts: The runs by outcome, int64 of shape (len(Outcome),).
        skipped: The runs that are left alone until something changes them.
        seconds: The time in the step's code.
    """

    step: Step
    commit: StepCommit | None
    counts: np.ndarray
    skipped: pa.Table
    seconds: float


@dataclass(frozen=True)
class SettledChunk:
    """The results of a chunk.

    Attributes:
        first: What the chunk's own step did. Its commit also has all transitions of the runs
            that moved, and their changes by the steps after it.
        later: What the further steps of the visit did to the runs that ended there. To be stored
            after the first.
        returned: The runs that weren't executed.
        seconds: The time of the visit, without that of going round again.
        chunk_id: The id of the chunk.
        worker: The machine and the process that executed it; None if unknown.
        slowest: Slow runs; see `ChunkResult`.
    """

    chunk: ClaimedChunk
    first: SettledStep
    later: tuple[SettledStep, ...]
    returned: pa.Table
    seconds: float
    chunk_id: int
    worker: str | None
    slowest: tuple[tuple[int, int, float], ...]

    @property
    def steps(self) -> tuple[SettledStep, ...]:
        """The steps of the visit."""
        return (self.first, *self.later)

    @property
    def has_commit(self) -> bool:
        """Whether there is something to store."""
        return any(step.commit is not None for step in self.steps)


def settle(
    chunk: ClaimedChunk, result: ChunkResult, now: datetime, random: np.random.Generator
) -> SettledChunk:
    """Split the results of a chunk; the steps' retry policies decide about failures."""
    own, *legs = Executions.by_leg(result, chunk.claim.step.from_code)
    by_code: dict[int, list[Executions]] = defaultdict(list)
    for leg, executed in zip(result.later, legs, strict=True):
        by_code[leg.from_code].append(executed)
    settle_step = partial(_settled_step, chunk, result, now=now, random=random)
    steps = chunk.claim.workflow.steps
    later = (settle_step(steps[code], Executions.joined(by_code[code])) for code in sorted(by_code))
    moves = _moves(Executions.joined((own, *legs)))
    first = settle_step(chunk.claim.step, own, moves=moves)
    return SettledChunk(
        chunk=chunk,
        first=first,
        later=tuple(later),
        returned=_where(chunk.rows, result.outcomes == Outcome.RETURNED),
        seconds=result.seconds + _seconds_of_first_round(chunk, result),
        chunk_id=result.chunk_id,
        worker=result.worker,
        slowest=result.slowest,
    )


def _settled_step(
    chunk: ClaimedChunk,
    result: ChunkResult,
    step: Step,
    executed: Executions,
    *,
    now: datetime,
    random: np.random.Generator,
    moves: Executions | None = None,
) -> SettledStep:
    """Settle what a step did; `moves` are the transitions of the visit, for the first step."""
    counts = np.bincount(executed.outcomes, minlength=len(Outcome))
    # Mostly, all runs move.
    all_move = not counts[~_IS_MOVED].any()
    stopped = executed.none if all_move else executed.where(_IS_UNMOVED[executed.outcomes])
    commit = None
    if len(stopped.rows) or (moves is not None and len(moves.rows)):
        commit = StepCommit(
            workflow=chunk.claim.workflow,
            step=step,
            moved=_moved(chunk, result, moves),
            unmoved=_unmoved(chunk, result, step, stopped, now, random),
            errors=_errors(chunk, result, step, executed),
            causes=result.causes,
            transitions=_transitions(chunk, result, moves),
        )
    skipped = executed.none if all_move else executed.where(executed.outcomes == Outcome.SKIPPED)
    return SettledStep(
        step=step,
        commit=commit,
        counts=counts,
        skipped=_rows_of(chunk, skipped),
        seconds=_seconds_in(result, step, later=moves is None),
    )


def _moves(every: Executions) -> Executions:
    return every.where(_IS_MOVED[every.outcomes])


def _seconds_in(result: ChunkResult, step: Step, *, later: bool) -> float:
    if not later:
        return result.seconds
    return sum(leg.seconds for leg in result.later if leg.from_code == step.from_code)


def _seconds_of_first_round(chunk: ClaimedChunk, result: ChunkResult) -> float:
    """Return the seconds of the further steps, each at its first time."""
    seconds: dict[int, float] = {}
    for leg in result.later:
        seconds.setdefault(leg.from_code, leg.seconds)
    seconds.pop(chunk.claim.step.from_code, None)
    return sum(seconds.values())


def result_of_lost(lost: LostChunk) -> ChunkResult:
    """Return the result for a single run that ended its worker: it failed."""
    cause = cause_of(Raised(lost.error_type, lost.cause))
    failure = {
        "row": 0,
        "type": lost.error_type,
        "message": lost.cause,
        "traceback": "",
        "fingerprint": fingerprint_of([lost.error_type, lost.cause]),
        "retryable": True,
        "cause": cause.id,
    }
    return ChunkResult(
        chunk_id=lost.chunk_id,
        outcomes=np.array([Outcome.FAILED], np.int8),
        to_codes=np.array([NO_DESTINATION], np.int16),
        changes={},
        failures=pa.Table.from_pylist([failure], FAILURE_SCHEMA),
        reasons=REASON_SCHEMA.empty_table(),
        seconds=0.0,
        causes=(cause,),
        worker=lost.worker,
    )


def refused_counts_of(commit: StepCommit, stored: CommitResult) -> Mapping[int, np.ndarray]:
    """Count the results of a commit that the store refused, as `counts_of`."""
    if not len(stored.refused_seqs):
        return {}
    return counts_of(commit.of_runs(pa.array(stored.refused_seqs)))


def counts_of(commit: StepCommit) -> Mapping[int, np.ndarray]:
    """Count the results of a commit by step and outcome.

    Returns:
        For the code of each status whose step was executed, int64 of shape (len(Outcome),).
    """
    codes = np.concatenate(
        [
            commit.moves["#from"].to_numpy(),
            np.full(commit.unmoved.num_rows, commit.step.from_code, np.uint8),
        ]
    )
    outcomes = np.concatenate([t["#outcome"].to_numpy() for t in (commit.moves, commit.unmoved)])
    return {
        int(code): np.bincount(outcomes[codes == code], minlength=len(Outcome))
        for code in np.unique(codes)
    }


def _moved(chunk: ClaimedChunk, result: ChunkResult, moves: Executions | None) -> pa.Table:
    """Return a row for each run that moved, with its last transition."""
    if moves is None:
        return _no_moved(chunk)
    rows = chunk.rows.num_rows
    to_codes, outcomes = np.zeros(rows, np.uint8), np.zeros(rows, np.uint8)
    # Of several transitions of a run, the last is assigned last.
    to_codes[moves.rows] = moves.to_codes.astype(np.uint8)
    outcomes[moves.rows] = moves.outcomes.astype(np.uint8)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        name: chunk.rows[name] for name in ("#seq", "#version", "#attempt", "#run_state")
    }
    columns |= {"#to": pa.array(to_codes), "#outcome": pa.array(outcomes)}
    if result.later:
        from_codes = np.zeros(rows, np.uint8)
        from_codes[moves.rows] = moves.from_codes
        columns["#from"] = pa.array(from_codes)
        columns["#moves"] = pa.array(np.bincount(moves.rows, minlength=rows).astype(np.int32))
    for name, change in result.changes.items():
        columns[name] = change.values
        if change.written is not None:
            columns[f"#set:{name}"] = pa.array(change.written)
    return _where(pa.table(columns), _IS_MOVED[result.outcomes])


def _no_moved(chunk: ClaimedChunk) -> pa.Table:
    none = np.zeros(0, np.uint8)
    engine = chunk.rows.select(["#seq", "#version", "#attempt", "#run_state"]).slice(0, 0)
    return engine.append_column("#to", pa.array(none)).append_column("#outcome", pa.array(none))


def _transitions(
    chunk: ClaimedChunk, result: ChunkResult, moves: Executions | None
) -> pa.Table | None:
    if moves is None or not result.later:
        return None
    return (
        _rows_of(chunk, moves)
        .append_column("#from", pa.array(moves.from_codes))
        .append_column("#to", pa.array(moves.to_codes.astype(np.uint8)))
        .append_column("#outcome", pa.array(moves.outcomes.astype(np.uint8)))
    )


def _rows_of(chunk: ClaimedChunk, executed: Executions) -> pa.Table:
    """Return ``#seq``, ``#version`` and ``#attempt`` of the runs as their step received them."""
    if not len(executed.rows):
        return _NO_RUNS
    columns = {
        name: one_array(chunk.rows[name]).to_numpy()[executed.rows]
        for name in ("#seq", "#version", "#attempt")
    }
    columns["#version"] = columns["#version"] + executed.moved_before
    columns["#attempt"] = np.where(executed.moved_before, np.int32(1), columns["#attempt"])
    return pa.table(columns)


def _unmoved(
    chunk: ClaimedChunk,
    result: ChunkResult,
    step: Step,
    stopped: Executions,
    now: datetime,
    random: np.random.Generator,
) -> pa.Table:
    if not len(stopped.rows):
        return _NONE_UNMOVED
    unmoved = _rows_of(chunk, stopped)
    failed = stopped.outcomes == Outcome.FAILED
    attempts = unmoved["#attempt"].to_numpy()
    decision = decide(
        step.options.retry,
        _failed_attempts(result, stopped.rows[failed], attempts[failed]),
        now,
        random,
    )
    unmoved = unmoved.append_column("#next_attempt", pa.array((attempts + failed).astype(np.int32)))
    for name, column in _stopped_or_retried(result, stopped, failed, decision).items():
        unmoved = unmoved.append_column(name, column)
    return unmoved


def _stopped_or_retried(
    result: ChunkResult, stopped: Executions, failed: np.ndarray, decision: RetryDecision
) -> dict[str, pa.Array]:
    """Return the outcomes and their consequences: those of failures are decided already."""
    outcomes, rows = stopped.outcomes, stopped.rows
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


def _errors(chunk: ClaimedChunk, result: ChunkResult, step: Step, executed: Executions) -> pa.Table:
    """Return the errors of the runs whose last step was one of these executions."""
    if not result.failures.num_rows or not len(executed.rows):
        return _NO_ERRORS
    last = np.full(chunk.rows.num_rows, -1)
    places = np.arange(len(executed.rows))
    last[executed.rows] = np.where(KEEPS_CHANGES[executed.outcomes], -1, places)
    rows = result.failures["row"].to_numpy()
    failures = result.failures.filter(pa.array(last[rows] >= 0))
    failed = pa.array(last[failures["row"].to_numpy()])
    errors = _rows_of(chunk, executed).select(["#seq", "#attempt"]).take(failed)
    for name in _FAILURE_TEXTS:
        errors = errors.append_column(name, failures[name])
    later = step.from_code != chunk.claim.step.from_code
    place = {
        "worker": pa.scalar(result.worker, pa.string()),
        "chunk": pa.scalar(result.chunk_id, pa.int64()),
        "seconds": pa.scalar(_seconds_in(result, step, later=later), pa.float64()),
    }
    for name, value in place.items():
        errors = errors.append_column(name, pa.repeat(value, errors.num_rows))
    return errors


def _where(table: pa.Table, mask: np.ndarray) -> pa.Table:
    return table if mask.all() else table.filter(pa.array(mask))
