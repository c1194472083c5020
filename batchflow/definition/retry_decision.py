"""The decision about failed attempts: whether the run is tried again, when, and why it is paused.

Failures come from workers and from SQL steps; both are decided here, a whole chunk at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchflow.definition.retry import Retry

LONGEST_WAIT_SECONDS: Final = 1e9
"""The longest wait that is stored, whatever `Retry.max_backoff_seconds` allows: 31 years."""

FAILED_REASON: Final = "failed "
"""The beginning of the reason of each pause that follows from a `Retry`."""


@dataclass(frozen=True, eq=False)
class FailedAttempts:
    """The attempts of some runs that failed, all at the same step.

    Attributes:
        attempts: The number of each attempt, from 1, int32 of shape (n,).
        retryable: Whether `Retry.retries` is true for the exception, bool of shape (n,).
        error_types: The name of the exception's class, objects of shape (n,).
    """

    attempts: NDArray[np.int32]
    retryable: NDArray[np.bool_]
    error_types: NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class RetryDecision:
    """The consequences of some failed attempts.

    Attributes:
        pauses: Whether the failure pauses the run, bool of shape (n,).
        next_attempt_at: The time from which the run is tried again, datetime64[us] in UTC of shape
            (n,); NaT if the run is paused.
        reasons: The reason of the pause, objects of shape (n,); None if the run is tried again.
    """

    pauses: NDArray[np.bool_]
    next_attempt_at: NDArray[np.datetime64]
    reasons: NDArray[np.object_]


def decide(
    retry: Retry, failed: FailedAttempts, now: datetime, random: np.random.Generator
) -> RetryDecision:
    """Decide what follows from failed attempts.

    Args:
        retry: The policy of the step.
        failed: The attempts.
        now: The time of the failures, aware.
        random: The source of the jitter.
    """
    pauses = ~failed.retryable | retry.pauses(failed.attempts)
    return RetryDecision(
        pauses=pauses,
        next_attempt_at=_next_attempts(retry.backoff(failed.attempts, random), pauses, now),
        reasons=_reasons(failed, pauses),
    )


def _next_attempts(
    waits: NDArray[np.float64], pauses: NDArray[np.bool_], now: datetime
) -> NDArray[np.datetime64]:
    microseconds = (np.minimum(waits, LONGEST_WAIT_SECONDS) * 1e6).astype(np.int64)
    start = np.datetime64(now.astimezone(UTC).replace(tzinfo=None), "us")
    moments: NDArray[np.datetime64] = start + microseconds.astype("timedelta64[us]")
    moments[pauses] = np.datetime64("NaT")
    return moments


def _reasons(failed: FailedAttempts, pauses: NDArray[np.bool_]) -> NDArray[np.object_]:
    reasons = np.full(len(pauses), None, np.object_)
    if pauses.any():
        attempts = pa.array(failed.attempts[pauses])
        several = pc.binary_join_element_wise(pc.cast(attempts, pa.string()), "times in a row", " ")
        times = pc.if_else(pc.equal(attempts, 1), "once", several)
        types = pa.array(failed.error_types[pauses], pa.string())
        texts = pc.binary_join_element_wise(FAILED_REASON, times, ", last with ", types, "")
        reasons[pauses] = texts.to_numpy(zero_copy_only=False)
    return reasons
