"""The costs of drains are listed by step and night, with the workers and the slowest runs."""

from __future__ import annotations

import asyncio
import enum
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

import batchflow as bf
from batchflow.testing import FakeClock, inline_engine

EVENING = datetime(2026, 1, 5, 22, tzinfo=UTC)
DAY_SECONDS = 24 * 3600
SLEEP_SECONDS = 0.02
RUNS = 2_000


class Stage(enum.Enum):
    NEW = 1
    ASKED = 2
    CHECKED = 3
    DONE = 4


@dataclass
class Thing:
    number: int


def rarely_slow(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.number in (3, 1_500):
        time.sleep(SLEEP_SECONDS)
    if run.object.number == 7:
        raise ValueError("seven")
    return Stage.ASKED


async def ask(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.number == 4:
        await asyncio.sleep(SLEEP_SECONDS)
    return Stage.CHECKED


def check(batch: bf.Batch[Thing, Stage]) -> Stage:
    return Stage.DONE


@pytest.fixture
def engine() -> Iterator[bf.Engine]:
    workflow = bf.Workflow("things", Thing, Stage, retry=bf.Retry(pause_after=1))
    workflow.add_step(Stage.NEW, rarely_slow, Stage.ASKED)
    workflow.add_step(Stage.ASKED, ask, Stage.CHECKED)
    workflow.add_step(Stage.CHECKED, check, Stage.DONE, batch=True)
    clock = FakeClock(EVENING)
    with inline_engine(workflow, clock=clock) as engine:
        for night in range(2):
            numbers = range(RUNS) if night == 0 else range(RUNS, RUNS + 10)
            ids = [str(number) for number in numbers]
            engine.trigger_many(
                pa.table({"number": numbers, "foreign_id": ids}), foreign_id="foreign_id"
            )
            engine.run(progress=False)
            clock.advance(DAY_SECONDS)
        yield engine


def test_each_step_has_its_costs_in_each_night(engine: bf.Engine) -> None:
    found = engine.costs().select("night", "step", "runs", "failed", "commits > 0", "chunks > 0")
    first, second = date(2026, 1, 5), date(2026, 1, 6)
    assert sorted(found.fetchall()) == [
        (first, "ask", RUNS - 1, 0, True, True),
        (first, "check", RUNS - 1, 0, True, True),
        (first, "rarely_slow", RUNS, 1, True, True),
        (second, "ask", 10, 0, True, True),
        (second, "check", 10, 0, True, True),
        (second, "rarely_slow", 10, 0, True, True),
    ]
    assert len(engine.costs(since=EVENING + timedelta(hours=1))) == 3
    assert len(engine.costs().filter("step_seconds > 0 AND commit_seconds > 0")) == 6
    [(queued,)] = engine.costs().select("sum(queue_seconds)").fetchall()
    assert queued >= 0


def test_slow_runs_are_found_among_quick_ones(engine: bf.Engine) -> None:
    slow = engine.costs(until=EVENING + timedelta(hours=1)).filter("slowest IS NOT NULL")
    slowest = {
        step: [
            engine.get(run["run_id"]).object.number
            for run in runs
            if run["seconds"] >= SLEEP_SECONDS
        ]
        for step, runs in slow.select("step", "slowest").fetchall()
    }
    assert set(slowest["rarely_slow"]) >= {3, 1_500}
    assert 4 in slowest["ask"]
    assert "check" not in slowest


def test_each_transition_has_exactly_one_chunk_that_names_its_worker(engine: bf.Engine) -> None:
    workers = engine.sql("""
        WITH begun AS (
            SELECT seq, committed_at, arg_min(from_status, version)::VARCHAR AS status
            FROM things.transitions GROUP BY seq, committed_at
        )
        SELECT count(*), count(DISTINCT (b.seq, b.committed_at)), list(DISTINCT worker)
        FROM begun AS b JOIN batchflow.chunks AS c
          ON c.committed_at = b.committed_at AND c.status = b.status
         AND b.seq BETWEEN c.first_seq AND c.last_seq""")
    visits = "SELECT count(DISTINCT (seq, committed_at)) FROM things.transitions"
    [(every,)] = engine.sql(visits).fetchall()
    assert workers.fetchall() == [(every, every, [f"{socket.gethostname()}:{os.getpid()}"])]


def test_pruning_removes_the_places_of_pruned_runs_and_keeps_the_seconds(
    engine: bf.Engine,
) -> None:
    before = engine.costs().select("night", "step", "step_seconds").fetchall()
    engine.cancel("number = 7")
    engine.prune(EVENING + timedelta(days=30), f"number < {RUNS}")
    assert engine.sql("FROM batchflow.causes").fetchall() == []
    assert engine.sql(f"FROM batchflow.slow_runs WHERE seq < {RUNS}").fetchall() == []
    left = "SELECT count(*) > 0, min(last_seq) >= ? FROM batchflow.chunks"
    assert engine.sql(left, [RUNS]).fetchall() == [(True, True)]
    assert engine.costs().select("night", "step", "step_seconds").fetchall() == before
