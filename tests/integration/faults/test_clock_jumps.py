"""A clock that is set back or forward, during a drain and between two."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import batchflow as bf
from batchflow.coordinator import Tally
from batchflow.testing import FakeClock
from kit.open_store import OpenStore, open_store

HOUR = 3_600
CAP_SECONDS = 300


class Stage(enum.Enum):
    NEW = 1
    HALF = 2
    DONE = 3


@dataclass
class Call:
    number: int
    failures: int = 0


def calls(
    first: Callable[[bf.Run[Call, Stage]], Stage], **retry: float
) -> bf.Workflow[Call, Stage]:
    policy = {"backoff_seconds": CAP_SECONDS, "max_backoff_seconds": CAP_SECONDS, "jitter": 0}
    workflow = bf.Workflow("calls", Call, Stage, retry=bf.Retry(**{**policy, **retry}))
    workflow.add_step(Stage.NEW, first, Stage.HALF)
    workflow.sql_step(Stage.HALF, to=[Stage.DONE], set={"failures": "failures"}, status="DONE")
    return workflow


def opened(path: Path, workflow: bf.Workflow[Call, Stage], clock: bf.Clock) -> bf.Engine:
    return bf.Engine(path, workflow, workers=0, clock=clock)


def fails_once(run: bf.Run[Call, Stage]) -> Stage:
    if run.attempt == 1 and run.object.number % 2:
        raise ConnectionError("not now")
    return Stage.HALF


def load(engine: bf.Engine | OpenStore, rows: int) -> None:
    engine.trigger_many(f"SELECT range AS number FROM range({rows})", foreign_id="number", at="NEW")


def statuses(engine: bf.Engine | OpenStore) -> dict[str, int]:
    return dict(engine.runs().aggregate("status, count(*)").fetchall())


def assert_all_done_once(engine: bf.Engine | OpenStore, rows: int) -> None:
    assert statuses(engine) == {"DONE": rows}
    advanced = engine.sql(
        "SELECT count(*), count(DISTINCT (seq, from_status)) FROM calls.transitions "
        "WHERE outcome = 'advanced'"
    )
    assert advanced.fetchall() == [(2 * rows, 2 * rows)]
    gaps = engine.sql(
        "SELECT count(*) FROM (SELECT seq, count(*) AS n, max(version) AS last, min(version) AS f "
        "FROM calls.transitions GROUP BY seq) WHERE last - f + 1 <> n OR f <> 2"
    )
    assert gaps.fetchall() == [(0,)]


@pytest.mark.parametrize(
    "jump", [-HOUR, -24 * HOUR, HOUR], ids=["hour back", "day back", "forward"]
)
def test_after_a_jump_between_two_drains_no_run_waits_longer_than_the_cap(
    tmp_path: Path, jump: int
) -> None:
    clock = FakeClock()
    with opened(tmp_path / "calls.duckdb", calls(fails_once), clock) as engine:
        load(engine, 10)
        engine.run()
        assert statuses(engine) == {"NEW": 5, "DONE": 5}
        clock.advance(jump)
        engine.run()
        assert_all_done_once(engine, 10)


def test_after_a_jump_shorter_than_the_cap_no_run_waits_longer_than_it(tmp_path: Path) -> None:
    clock = FakeClock()
    workflow = calls(fails_once, backoff_seconds=60)
    with opened(tmp_path / "calls.duckdb", workflow, clock) as engine:
        load(engine, 10)
        engine.run()
        clock.advance(-120)
        engine.run()
        assert statuses(engine) == {"NEW": 5, "DONE": 5}
        clock.advance(CAP_SECONDS)
        engine.run()
        assert_all_done_once(engine, 10)


def test_without_a_jump_the_longest_wait_is_respected(tmp_path: Path) -> None:
    clock = FakeClock()
    with opened(tmp_path / "calls.duckdb", calls(fails_once), clock) as engine:
        load(engine, 10)
        engine.run()
        for seconds in (0, 150, 149):
            clock.advance(seconds)
            engine.run()
            assert statuses(engine) == {"NEW": 5, "DONE": 5}
        clock.advance(1)
        engine.run()
        assert_all_done_once(engine, 10)


@pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forward"])
def test_a_jump_during_a_drain_loses_no_run_and_the_drain_ends(tmp_path: Path, jump: int) -> None:
    clock = FakeClock()
    jumped: list[int] = []

    def jumps(run: bf.Run[Call, Stage]) -> Stage:
        if run.object.number == 7 and not jumped:
            jumped.append(jump)
            clock.advance(jump)
        return fails_once(run)

    with opened(tmp_path / "calls.duckdb", calls(jumps), clock) as engine:
        load(engine, 20)
        report = engine.run(wait_for_retries=True)
        assert jumped
        assert report.outcome("failed") == 10
        assert_all_done_once(engine, 20)


class JumpyClock(bf.SystemClock):
    """The machine's clock, set back by an hour at some moment."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.offset


def test_a_wait_for_a_retry_continues_when_the_clock_is_set_back(
    tmp_path: Path,
) -> None:
    clock = JumpyClock()

    def jumps(run: bf.Run[Call, Stage]) -> Stage:
        if run.attempt == 1:
            raise ConnectionError("not now")
        return Stage.HALF

    workflow = calls(jumps, backoff_seconds=0.2, max_backoff_seconds=0.2)
    with open_store(tmp_path / "calls.duckdb", workflow, clock=clock) as store:
        load(store, 10)

        def set_back(_: Tally) -> None:
            clock.offset = timedelta(seconds=-HOUR)

        # With an hour to wait, this would outlast the test's time.
        store.drain(listeners=[set_back], wait_for_retries=True)
        assert_all_done_once(store, 10)


def test_a_sql_step_after_a_jump_back_moves_each_run_once(tmp_path: Path) -> None:
    clock = FakeClock()
    workflow = bf.Workflow("calls", Call, Stage)
    workflow.sql_step(
        Stage.NEW,
        to=[Stage.HALF, Stage.DONE],
        status="CASE WHEN number % 2 = 0 THEN 'HALF' ELSE 'DONE' END",
    )
    workflow.sql_step(Stage.HALF, to=[Stage.DONE], status="DONE")
    with opened(tmp_path / "calls.duckdb", workflow, clock) as engine:
        for _ in range(4):
            load(engine, 100)
            engine.run()
            clock.advance(-HOUR)
        assert statuses(engine) == {"DONE": 400}
        moved = engine.sql("SELECT count(*), count(DISTINCT (seq, version)) FROM calls.transitions")
        assert moved.fetchall() == [(600, 600)]
