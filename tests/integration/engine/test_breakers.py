"""A step of whose recent runs too many failed is paused, while the other steps go on."""

from __future__ import annotations

import enum
import io
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import batchflow as bf
from batchflow.cli.status_watch import screen
from batchflow.cli.store_snapshot import take_snapshot
from batchflow.engine import BreakerReport
from batchflow.testing import FakeClock, inline_engine

CHUNK = 30
PROBE = 10
BOTH = pytest.mark.parametrize("visits", [False, True], ids=["committed", "visited"])


class Stage(enum.Enum):
    NEW = 1
    PRICED = 2
    PAID = 3
    OTHER = 4


@dataclass
class Parcel:
    number: int
    weight: str = "1"
    grams: int = 0


@dataclass
class Provider:
    """A service that is down from time to time.

    Attributes:
        is_down: Whether it is down, by the seconds since the beginning, and how often it was
            called before within that second.
        calls: How often it was called, by the second.
    """

    is_down: Callable[[float, int], bool]
    clock: FakeClock = field(default_factory=FakeClock)
    calls: Counter[float] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.start: datetime = self.clock.now()

    def call(self) -> None:
        at = (self.clock.now() - self.start) / timedelta(seconds=1)
        self.calls[at] += 1
        if self.is_down(at, self.calls[at] - 1):
            raise ConnectionError("the provider is down")


def always(at: float, calls: int) -> bool:
    return True


def for_100_seconds(at: float, calls: int) -> bool:
    return at < 100


def twice(at: float, calls: int) -> bool:
    """Return whether it is the first second, or the next one after a hundred calls."""
    return at < 1 or (at < 2 and calls > 100)


def parcels(
    provider: Provider, *, visits: bool = True, batch: bool = False, **retry: Any
) -> bf.Workflow[Parcel, Stage]:
    """Return a workflow whose step from PRICED calls a provider; the others succeed."""
    workflow = bf.Workflow("parcels", Parcel, Stage, visits=visits, chunk_rows=CHUNK)

    @workflow.step(Stage.NEW, to=Stage.PRICED)
    def price(run: bf.Run[Parcel, Stage]) -> Stage:
        return Stage.PRICED

    policy = bf.Retry(**{"breaker": 0.5, "jitter": 0.0, **retry})
    if batch:

        @workflow.batch_step(Stage.PRICED, to=Stage.PAID, retry=policy)
        def pay_all(batch: bf.Batch[Parcel, Stage]) -> Stage:
            provider.call()
            return Stage.PAID

    else:

        @workflow.step(Stage.PRICED, to=Stage.PAID, retry=policy)
        def pay(run: bf.Run[Parcel, Stage]) -> Stage:
            provider.call()
            return Stage.PAID

    @workflow.step(Stage.OTHER, to=Stage.PAID)
    def pass_on(run: bf.Run[Parcel, Stage]) -> Stage:
        return Stage.PAID

    return workflow


def load(engine: bf.Engine, runs: int, first: int = 0, at: Stage = Stage.NEW) -> None:
    numbers = f"SELECT range AS number FROM range({first}, {first + runs})"
    engine.trigger_many(numbers, foreign_id="number", at=at)


def standing(engine: bf.Engine) -> dict[tuple[str, int], int]:
    """Return how many runs there are by status and attempt."""
    rows = engine.runs().aggregate("status::VARCHAR, attempt, count(*)").fetchall()
    return {(status, attempt): runs for status, attempt, runs in rows}


def failures_by_second(engine: bf.Engine) -> list[tuple[int, int]]:
    since = "date_diff('second', min(committed_at) OVER (), committed_at)"
    failures = f"SELECT {since} AS s FROM parcels.errors"
    return engine.sql(f"SELECT s, count(*) FROM ({failures}) GROUP BY s ORDER BY s").fetchall()


@BOTH
def test_an_open_breaker_pauses_its_step_and_no_other(
    visits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider(always)
    with inline_engine(parcels(provider, visits=visits), clock=provider.clock) as engine:
        load(engine, 600)
        load(engine, 300, first=600, at=Stage.OTHER)
        with caplog.at_level(logging.WARNING, "batchflow"):
            report = engine.run(progress=False)

        failed = report.outcome("failed")
        assert failed == CHUNK
        assert standing(engine) == {
            ("PRICED", 1): 600 - failed,
            ("PRICED", 2): failed,
            ("PAID", 1): 300,
        }
        assert (report.ended_by, report.left, report.waiting_for_retry) == (
            "breaker",
            600 - failed,
            failed,
        )
        assert report.breakers == (
            BreakerReport("parcels", "pay", "PRICED", 1.0, 1, open=True, left=600 - failed),
        )
        assert f"{600 - failed} runs are left to execute (their step's breaker is open)" in str(
            report
        )
        assert f"parcels.pay  PRICED  100%    once    open        {600 - failed}" in str(report)
        messages = [each.getMessage() for each in caplog.records]
        assert len(messages) == 1
        assert "step pay is paused, because 100% of its last 30 runs failed." in messages[0]


@BOTH
@pytest.mark.parametrize("batch", [False, True], ids=["rows", "batches"])
def test_a_few_runs_probe_until_it_closes(visits: bool, batch: bool) -> None:
    provider = Provider(for_100_seconds)
    workflow = parcels(provider, visits=visits, batch=batch)
    with inline_engine(workflow, clock=provider.clock) as engine:
        load(engine, 300)
        report = engine.run(wait_for_retries=True, progress=False)

        assert (report.ended_by, report.left, report.breakers[0].open) == ("idle", 0, False)
        assert report.breakers[0].openings == 1
        assert report.count("PAID") == 300
        # It waits for 1, 2, 4, 8, 16, 32 and 64 seconds.
        assert failures_by_second(engine) == [
            (0, CHUNK),
            *[(at, PROBE) for at in (1, 3, 7, 15, 31, 63)],
        ]


def test_it_opens_again_in_the_same_drain() -> None:
    provider = Provider(twice)
    with inline_engine(parcels(provider), clock=provider.clock) as engine:
        load(engine, 400)
        report = engine.run(wait_for_retries=True, progress=False)
        assert (report.ended_by, report.count("PAID")) == ("idle", 400)
        assert report.breakers == (
            BreakerReport("parcels", "pay", "PRICED", 89 / 120, 2, open=False, left=0),
        )
        assert "parcels.pay  PRICED  74%     2 times  closed" in str(report)


def test_a_drain_ends_when_the_probed_runs_are_paused() -> None:
    provider = Provider(always)
    workflow = parcels(provider, pause_after=1)
    with inline_engine(workflow, clock=provider.clock) as engine:
        load(engine, 100)
        report = engine.run(wait_for_retries=True, progress=False)
        assert (report.ended_by, report.newly_paused, report.left) == ("idle", 100, 0)
        assert sum(provider.calls.values()) == 100


def test_it_waits_until_the_time_to_stop_and_no_longer() -> None:
    provider = Provider(always)
    with inline_engine(parcels(provider), clock=provider.clock) as engine:
        load(engine, 300)
        report = engine.run(until=provider.start + timedelta(seconds=10), progress=False)
        assert report.ended_by == "breaker"
        assert max(provider.calls) == 7
        assert report.left + report.waiting_for_retry == 300


def test_a_limit_counts_only_the_runs_that_were_executed() -> None:
    provider = Provider(always)
    with inline_engine(parcels(provider), clock=provider.clock) as engine:
        load(engine, 300, at=Stage.PRICED)
        load(engine, 300, first=300, at=Stage.OTHER)
        report = engine.run(limit=500, progress=False)
        assert report.outcome("advanced") == 300
        assert (report.ended_by, report.breakers[0].open) == ("breaker", True)


def test_few_failures_leave_it_closed() -> None:
    provider = Provider(always)
    with inline_engine(parcels(provider), clock=provider.clock) as engine:
        load(engine, 19)
        report = engine.run(progress=False)
        assert (report.ended_by, report.breakers, report.outcome("failed")) == ("idle", (), 19)


def test_progress_and_the_watch_show_the_step_as_open(path: Path) -> None:
    provider = Provider(always)
    workflow = parcels(provider, backoff_seconds=1000)
    with bf.Engine(path, workflow, workers=0) as engine:
        load(engine, 100)
        engine.start()
        while not any(step.breaker_open for step in _steps(engine)):
            pass
        [pay] = [step for step in _steps(engine) if step.breaker_open]
        assert pay.step == "pay"
        assert str(pay).endswith(", breaker open")

        # As another process gets it.
        console = Console(width=150, record=True, file=io.StringIO())
        console.print(screen(path, take_snapshot(path, None)))
        lines = [line.split() for line in console.export_text().splitlines()]
        [heading] = [words for words in lines if words[:1] == ["status"]]
        [priced] = [words for words in lines if words[:1] == ["PRICED"]]
        assert (heading[-1], priced[-1]) == ("breaker", "open")
        engine.stop()


def _steps(engine: bf.Engine) -> tuple[Any, ...]:
    progress = engine.progress()
    return () if progress is None else progress.steps


# Runs are claimed for SQL steps by so many consecutive runs.
BUCKET = 16_384


def weighed(*, visits: bool = True) -> bf.Workflow[Parcel, Stage]:
    """Return a workflow of SQL steps, of which the second fails for weights that are texts."""
    workflow = bf.Workflow("parcels", Parcel, Stage, visits=visits)
    workflow.sql_step(Stage.NEW, to=Stage.PRICED, set={}, status=Stage.PRICED)
    workflow.sql_step(
        Stage.PRICED,
        to=Stage.PAID,
        set={"grams": "weight::INTEGER * 1000"},
        status=Stage.PAID,
        retry=bf.Retry(breaker=0.005, pause_after=1, jitter=0.0),
    )
    workflow.sql_step(Stage.OTHER, to=Stage.PAID, set={}, status=Stage.PAID)
    return workflow


def weighed_engine(*, visits: bool, last: str) -> bf.Engine:
    """Return an engine with a bucket of runs, of which 100 fail, and 60 more with some weight."""
    engine = bf.Engine(
        ":memory:",
        weighed(visits=visits),
        workers=0,
        clock=FakeClock(),
        config=bf.EngineConfig(sql_batch_rows=1),
    )
    weight = f"CASE WHEN range < 100 THEN 'heavy' WHEN range < {BUCKET} THEN '1' ELSE '{last}' END"
    source = f"SELECT range AS number, {weight} AS weight FROM range"
    engine.trigger_many(f"{source}({BUCKET})", foreign_id="number", at=Stage.PRICED)
    engine.trigger_many(f"{source}({BUCKET}, {BUCKET + 60})", foreign_id="number", at=Stage.NEW)
    return engine


@BOTH
def test_a_sql_step_is_paused_too(visits: bool) -> None:
    with weighed_engine(visits=visits, last="2") as engine:
        report = engine.run(progress=False)
        assert standing(engine) == {
            ("PAID", 1): BUCKET - 100,
            ("PRICED", 1): 60,
            ("PRICED", 2): 100,
        }
        assert (report.ended_by, report.left, report.newly_paused) == ("breaker", 60, 100)

        # In the next drain it is closed.
        report = engine.run(progress=False)
        assert (report.ended_by, report.breakers, report.left) == ("idle", (), 0)


@BOTH
def test_a_few_runs_probe_a_sql_step(visits: bool) -> None:
    with weighed_engine(visits=visits, last="heavy") as engine:
        report = engine.run(wait_for_retries=True, progress=False)
        assert (report.ended_by, report.newly_paused, report.left) == ("idle", 160, 0)
        assert [count for _, count in failures_by_second(engine)] == [100, *[PROBE] * 6]


def test_a_rehearsal_has_no_breakers() -> None:
    provider = Provider(always)
    with inline_engine(parcels(provider), clock=provider.clock) as engine:
        load(engine, 300, at=Stage.PRICED)
        rehearsal = engine.rehearse("true")
        assert [failure.runs for failure in rehearsal.failures] == [300]
