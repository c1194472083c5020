"""When a breaker opens and closes, from given results."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import batchflow as bf
from batchflow.coordinator.breaker import Breaker, BreakerState
from batchflow.definition import Outcome
from kit.things import things

NOON = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


class Followed:
    """A breaker that opens if half of the recent runs fail."""

    def __init__(self) -> None:
        retry = bf.Retry(breaker=0.5, backoff_seconds=10, jitter=0)
        [step] = things(retry=retry).steps.values()
        self.breaker = Breaker("things", step, 0.5)
        self.now = NOON
        self.random = np.random.default_rng(0)

    def result(self, runs: int, failed: int) -> BreakerState:
        counts = np.zeros(len(Outcome), np.int64)
        counts[[Outcome.FAILED, Outcome.ADVANCED]] = failed, runs - failed
        self.breaker.observe(counts)
        return self.follow()

    def follow(self, seconds: float = 0.0) -> BreakerState:
        self.now += timedelta(seconds=seconds)
        self.breaker.follow(self.now, self.random)
        return self.breaker.state

    def probe(self, runs: int, failed: int) -> BreakerState:
        claim = object()
        self.breaker.record_claim(claim)
        assert self.breaker.admits(claim)
        assert not self.breaker.admits_claims
        self.breaker.record_end(claim)
        return self.result(runs, failed)


@pytest.fixture
def followed() -> Followed:
    return Followed()


def test_it_opens_at_its_share_of_twenty_runs(followed: Followed) -> None:
    assert followed.result(19, 19) is BreakerState.CLOSED
    assert followed.result(1, 0) is BreakerState.OPEN
    assert followed.breaker.failed_share == pytest.approx(0.95)


def test_only_recent_runs_count(followed: Followed) -> None:
    assert followed.result(10_000, 0) is BreakerState.CLOSED
    for _ in range(3):
        assert followed.result(25, 25) is BreakerState.CLOSED
    assert followed.result(25, 25) is BreakerState.OPEN


def test_it_waits_longer_after_each_probe_that_fails(followed: Followed) -> None:
    followed.result(20, 20)
    for wait in (10, 20, 40):
        assert followed.breaker.probe_at == followed.now + timedelta(seconds=wait)
        assert followed.follow(wait - 1) is BreakerState.OPEN
        assert followed.follow(1) is BreakerState.PROBING
        assert followed.probe(10, 5) is BreakerState.OPEN
    assert followed.breaker.openings == 1


def test_it_closes_after_a_probe_and_begins_anew(followed: Followed) -> None:
    followed.result(20, 20)
    followed.follow(10)
    assert followed.probe(10, 4) is BreakerState.CLOSED
    assert followed.result(20, 20) is BreakerState.OPEN
    assert followed.breaker.probe_at == followed.now + timedelta(seconds=10)
    assert followed.breaker.openings == 2


def test_results_of_runs_that_began_before_say_nothing(followed: Followed) -> None:
    followed.result(20, 20)
    assert followed.result(50, 0) is BreakerState.OPEN
    followed.follow(10)
    assert followed.probe(10, 10) is BreakerState.OPEN


def test_a_probe_without_a_result_is_followed_by_another(followed: Followed) -> None:
    followed.result(20, 20)
    followed.follow(10)
    assert followed.probe(0, 0) is BreakerState.PROBING
    assert followed.breaker.admits_claims


def test_a_clock_that_is_set_back_delays_no_probe(followed: Followed) -> None:
    followed.result(20, 20)
    assert followed.follow(-3600) is BreakerState.PROBING


@pytest.mark.parametrize("share", [0, 1.01, True, "half", float("nan")])
def test_a_share_is_above_0_and_at_most_1(share: float) -> None:
    with pytest.raises(bf.DefinitionError, match=r"breaker is .* above 0 and at most 1, or None"):
        bf.Retry(breaker=share)
