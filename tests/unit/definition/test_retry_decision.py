from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from batchflow.definition import Retry
from batchflow.definition.retry_decision import FailedAttempts, RetryDecision, decide

NOW = dt.datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=dt.UTC)


def failed(*attempts: int, retryable: bool = True) -> FailedAttempts:
    return FailedAttempts(
        attempts=np.array(attempts, np.int32),
        retryable=np.full(len(attempts), retryable),
        error_types=np.full(len(attempts), "ValueError", np.object_),
    )


def decided(retry: Retry, attempts: FailedAttempts, now: dt.datetime = NOW) -> RetryDecision:
    return decide(retry, attempts, now, np.random.default_rng(1))


def waits(decision: RetryDecision, now: dt.datetime = NOW) -> list[float | None]:
    moments = decision.next_attempt_at.astype(object)
    start = now.astimezone(dt.UTC).replace(tzinfo=None)
    return [moment and (moment - start).total_seconds() for moment in moments]


def test_a_failure_before_the_last_attempt_waits_for_its_backoff() -> None:
    decision = decided(Retry(backoff_seconds=3, jitter=0, pause_after=4), failed(1, 2, 3))

    assert decision.pauses.tolist() == [False] * 3
    assert waits(decision) == [3, 6, 12]
    assert decision.reasons.tolist() == [None] * 3


def test_the_last_attempt_pauses_its_run_and_gives_the_reason() -> None:
    decision = decided(Retry(jitter=0, pause_after=3), failed(2, 3, 4))

    assert decision.pauses.tolist() == [False, True, True]
    assert waits(decision) == [2, None, None]
    assert decision.reasons.tolist() == [
        None,
        "failed 3 times in a row, last with ValueError",
        "failed 4 times in a row, last with ValueError",
    ]


def test_an_exception_that_is_not_retried_pauses_at_once() -> None:
    decision = decided(Retry(pause_after=None), failed(1, 2, retryable=False))

    assert waits(decision) == [None, None]
    assert decision.reasons.tolist() == [
        "failed once, last with ValueError",
        "failed 2 times in a row, last with ValueError",
    ]


def test_each_failure_is_decided_by_its_own_attempt_and_type() -> None:
    attempts = FailedAttempts(
        attempts=np.array([5, 1, 1], np.int32),
        retryable=np.array([True, False, True]),
        error_types=np.array(["KeyError", "SystemExit", "OSError"], np.object_),
    )

    decision = decided(Retry(backoff_seconds=1, jitter=0, pause_after=5), attempts)

    assert decision.reasons.tolist() == [
        "failed 5 times in a row, last with KeyError",
        "failed once, last with SystemExit",
        None,
    ]
    assert waits(decision) == [None, None, 1]


def test_the_wait_begins_at_the_given_time_in_any_zone() -> None:
    now = NOW.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=45)))

    decision = decided(Retry(backoff_seconds=0.5, jitter=0), failed(1), now)

    assert str(decision.next_attempt_at[0]) == "2026-03-29T02:00:00.499999"


def test_jitter_shortens_each_wait_by_a_part_of_its_own() -> None:
    decision = decided(Retry(backoff_seconds=100, jitter=0.2), failed(*[1] * 1_000))

    found = np.array(waits(decision))
    assert found.min() >= 80
    assert found.max() <= 100
    assert found.std() > 5


def test_the_longest_wait_of_a_policy_is_stored_as_a_time_that_exists() -> None:
    retry = Retry(backoff_seconds=1e300, max_backoff_seconds=1e300, jitter=0)

    assert waits(decided(retry, failed(1))) == [1e9]


@pytest.mark.parametrize("retry", [Retry(), Retry(pause_after=1)])
def test_no_failure_needs_no_decision(retry: Retry) -> None:
    decision = decided(retry, failed())

    assert len(decision.pauses) == len(decision.next_attempt_at) == len(decision.reasons) == 0
