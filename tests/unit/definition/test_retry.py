from __future__ import annotations

import copy
import dataclasses
import pickle
from datetime import timedelta

import numpy as np
import pytest

from batchflow.definition import Retry
from batchflow.errors import DefinitionError


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


def test_the_first_wait_is_the_backoff_and_each_next_one_is_multiplied(random) -> None:
    waits = Retry(backoff_seconds=3, multiplier=2, jitter=0).backoff(np.arange(1, 5), random)

    assert waits.tolist() == [3, 6, 12, 24]


def test_no_wait_is_above_the_cap_even_after_very_many_attempts(random) -> None:
    attempts = np.array([1, 10, 5_000, 2**31 - 1], dtype=np.int32)

    waits = Retry(backoff_seconds=1, max_backoff_seconds=60, jitter=0).backoff(attempts, random)

    assert waits.tolist() == [1, 60, 60, 60]


def test_jitter_spreads_the_waits_below_the_cap(random) -> None:
    retry = Retry(backoff_seconds=100, max_backoff_seconds=100, jitter=0.2)

    waits = retry.backoff(np.ones(10_000, dtype=np.int32), random)

    assert waits.min() >= 80
    assert waits.max() <= 100
    assert waits.std() > 5


def test_a_backoff_of_zero_never_waits(random) -> None:
    assert Retry(backoff_seconds=0).backoff(np.array([1, 9_999]), random).tolist() == [0, 0]


def test_a_chunk_without_rows_has_no_waits(random) -> None:
    assert len(Retry().backoff(np.array([], dtype=np.int32), random)) == 0


def test_a_run_is_paused_at_its_last_attempt() -> None:
    assert Retry(pause_after=3).pauses(np.arange(1, 6)).tolist() == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_a_run_is_never_paused_without_a_limit() -> None:
    assert not Retry(pause_after=None).pauses(np.array([1, 10**6])).any()


@pytest.mark.parametrize(
    ("retry", "exception", "expected"),
    [
        (Retry(), ValueError, True),
        (Retry(), SystemExit, False),
        (Retry(on=(OSError,)), TimeoutError, True),
        (Retry(on=(OSError,)), ValueError, False),
        (Retry(never_on=(LookupError,)), KeyError, False),
        (Retry(on=(OSError,), never_on=(TimeoutError,)), TimeoutError, False),
    ],
)
def test_on_and_never_on_decide_which_exceptions_are_retried(retry, exception, expected) -> None:
    assert retry.retries(exception) is expected


def test_merging_keeps_options_that_the_step_did_not_name() -> None:
    default = Retry(backoff_seconds=30, pause_after=None, never_on=(KeyError,))

    merged = Retry(backoff_seconds=1.0).merged_over(default)

    assert merged == Retry(backoff_seconds=1.0, pause_after=None, never_on=(KeyError,))


def test_merging_keeps_a_named_value_that_equals_the_usual_default() -> None:
    assert Retry(pause_after=5).merged_over(Retry(pause_after=9)).pause_after == 5


def test_merging_twice_keeps_each_layer() -> None:
    merged = Retry(jitter=0).merged_over(Retry(multiplier=3)).merged_over(Retry(pause_after=1))

    assert merged == Retry(jitter=0, multiplier=3, pause_after=1)


@pytest.mark.parametrize("copied", [lambda retry: pickle.loads(pickle.dumps(retry)), copy.copy])
def test_a_copy_still_has_the_named_options(copied) -> None:
    assert copied(Retry(jitter=0)).named == {"jitter": 0}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("backoff_seconds", -1),
        ("backoff_seconds", float("nan")),
        ("backoff_seconds", "1"),
        ("max_backoff_seconds", float("inf")),
        ("multiplier", 0.5),
        ("jitter", 1.5),
        ("jitter", True),
        ("pause_after", 0),
        ("pause_after", 1.5),
        ("pause_after", True),
        ("on", ValueError),
        ("on", ("ValueError",)),
        ("never_on", (int,)),
    ],
)
def test_an_invalid_value_is_rejected_by_its_name(option, value) -> None:
    with pytest.raises(DefinitionError, match=f"Retry: {option} is "):
        Retry(**{option: value})


def test_all_invalid_values_are_listed_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        Retry(jitter=2, multiplier=0)

    assert len(caught.value.problems) == 2


def test_a_first_wait_above_the_longest_is_a_contradiction() -> None:
    policy = Retry(backoff_seconds=400, max_backoff_seconds=300)
    assert "Raise max_backoff_seconds" in (policy.contradiction or "")
    assert Retry(backoff_seconds=300, max_backoff_seconds=300).contradiction is None


def test_a_first_wait_alone_raises_the_longest_to_it() -> None:
    retry = Retry(backoff_seconds=600)

    assert (retry.max_backoff_seconds, retry.contradiction) == (600, None)
    assert retry.merged_over(Retry(jitter=0)).max_backoff_seconds == 600
    assert retry.merged_over(Retry(max_backoff_seconds=900)).max_backoff_seconds == 900


def test_the_default_waits_begin_short_and_last_minutes_in_total(random) -> None:
    attempts = np.arange(1, 10)
    waits = Retry(jitter=0).backoff(attempts, random)

    assert waits.tolist() == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert Retry().pauses(np.array([9, 10])).tolist() == [False, True]
    assert Retry().backoff(attempts, random).sum() > 450


def test_a_retry_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Retry().jitter = 0.5  # type: ignore[misc]


@pytest.mark.parametrize("wait", [90, 90.0, timedelta(minutes=1, seconds=30)])
def test_the_time_of_a_pause_is_in_seconds_or_a_timedelta(wait) -> None:
    step = Retry(resume_most=2)

    merged = step.merged_over(Retry(resume_after=wait))

    assert (merged.resume_seconds, merged.resume_most) == (90, 2)
    assert Retry().resume_seconds is None


@pytest.mark.parametrize("wait", [-1, True, "1h", float("inf"), timedelta(seconds=-1)])
def test_the_time_of_a_pause_is_finite(wait) -> None:
    with pytest.raises(DefinitionError, match=r"resume_after is .* Give seconds or a timedelta"):
        Retry(resume_after=wait)
