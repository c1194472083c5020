"""Removing finished runs with an engine: moments, workflows, drains, and the file's size."""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf
from batchflow.errors import InvalidOptionError
from batchflow.testing import FakeClock, inline_engine

DAY = timedelta(days=1)


class Stage(enum.Enum):
    NEW = "new"
    HALF = "half"
    DONE = "done"


@dataclass
class Thing:
    number: int = 0
    text: str = ""


def things(name: str = "things") -> bf.Workflow[Any, Any]:
    workflow = bf.Workflow(name, Thing, Stage)
    workflow.sql_step(Stage.NEW, to=[Stage.HALF], set={"text": "md5(foreign_id)"}, status="HALF")
    workflow.sql_step(Stage.HALF, to=[Stage.DONE], set={}, status="DONE")
    return workflow


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 1, 5, 12, tzinfo=UTC))


@pytest.fixture
def engine(clock: FakeClock) -> Iterator[bf.Engine]:
    with inline_engine(things(), clock=clock) as opened:
        yield opened


def load(engine: bf.Engine, numbers: range, **options: Any) -> None:
    engine.trigger_many(map(Thing, numbers), foreign_id="number", **options)


def left(engine: bf.Engine) -> int:
    [(runs,)] = engine.sql("SELECT count(*) FROM things.runs").fetchall()
    return int(runs)


def finish_one_a_day(engine: bf.Engine, clock: FakeClock, days: int) -> None:
    for day in range(days):
        load(engine, range(day, day + 1))
        engine.run()
        clock.advance(DAY.total_seconds())


def test_a_duration_counts_back_from_the_engines_clock(engine: bf.Engine, clock: FakeClock) -> None:
    finish_one_a_day(engine, clock, 5)

    assert engine.prune(3 * DAY).runs == 2
    assert [number for (number,) in engine.runs().order("seq").select("number").fetchall()] == [
        2,
        3,
        4,
    ]


def test_a_moment_is_as_it_says_and_a_naive_one_is_local(
    engine: bf.Engine, clock: FakeClock
) -> None:
    finish_one_a_day(engine, clock, 5)

    assert engine.prune(datetime(2026, 1, 6, 12, tzinfo=UTC)).runs == 1
    naive = datetime(2026, 1, 7, 13, tzinfo=UTC).astimezone().replace(tzinfo=None)
    assert engine.prune(naive).runs == 2


@pytest.mark.parametrize("wrong", ["30d", 30, None, timedelta(days=-1), timedelta.max])
def test_what_is_no_moment_is_refused(engine: bf.Engine, wrong: Any) -> None:
    with pytest.raises(InvalidOptionError, match=r"^finished_before is .*; give"):
        engine.prune(wrong)


def test_transitions_go_with_their_runs(engine: bf.Engine, clock: FakeClock) -> None:
    load(engine, range(10))
    engine.run()
    clock.advance(1)

    pruned = engine.prune(timedelta(0), "number < 4")

    assert (pruned.runs, pruned.transitions, pruned.errors) == (4, 8, 0)
    assert engine.sql("SELECT count(*) FROM things.transitions").fetchall() == [(12,)]


def test_the_engines_workflows_are_pruned_and_no_others(tmp_path: Path, clock: FakeClock) -> None:
    path = str(tmp_path / "store.duckdb")
    names = ["things", "others", "strangers"]
    with inline_engine(*map(things, names), path=path, clock=clock) as engine:
        for name in names:
            load(engine, range(3), workflow=name)
        engine.run()
        clock.advance(1)
    with inline_engine(things("things"), things("others"), path=path, clock=clock) as engine:
        assert engine.prune(timedelta(0), workflow="others").runs == 3
        assert engine.prune(timedelta(0)).runs == 3
        with pytest.raises(InvalidOptionError, match="give workflow="):
            engine.prune(timedelta(0), "true")
        assert engine.sql("SELECT count(*) FROM strangers.runs").fetchall() == [(3,)]


def test_the_foreign_id_of_a_run_that_is_gone_is_triggered_again(
    engine: bf.Engine, clock: FakeClock
) -> None:
    first = engine.trigger("a", Thing(1))
    engine.run()
    clock.advance(1)
    engine.prune(timedelta(0))

    again = engine.trigger("a", Thing(1))
    engine.run()

    assert again != first
    assert engine.get(again).status is Stage.DONE
    with pytest.raises(bf.RunNotFoundError):
        engine.get(first)
    with pytest.raises(bf.RunNotFoundError):
        engine.wait(first, Stage.DONE)


def test_pruning_during_a_drain_loses_no_run(tmp_path: Path) -> None:
    loads, rows = 20, 500
    with bf.Engine(tmp_path / "store.duckdb", things(), workers=0) as engine:
        engine.start()
        idle = threading.Event()
        removed = []

        def prune() -> None:
            while not idle.is_set():
                removed.append(engine.prune(timedelta(0)).runs)

        pruning = threading.Thread(target=prune)
        pruning.start()
        try:
            for number in range(loads):
                load(engine, range(number * rows, (number + 1) * rows))
        finally:
            idle.set()
            pruning.join()
        engine.stop()
        engine.run()

        assert sum(removed) + left(engine) == loads * rows
        [(unfinished,)] = engine.sql(
            "SELECT count(*) FROM things.runs WHERE status <> 'DONE'"
        ).fetchall()
        assert unfinished == 0
        [(strays,)] = engine.sql(
            "SELECT count(*) FROM things.transitions ANTI JOIN things.runs USING (seq)"
        ).fetchall()
        assert strays == 0


def test_the_file_stays_level_over_the_nights(tmp_path: Path, clock: FakeClock) -> None:
    sizes = sizes_by_night(tmp_path / "store.duckdb", clock)

    # Where nothing is pruned, the second half takes two fifths more.
    assert max(sizes[6:]) <= 1.2 * max(sizes[:6])


def sizes_by_night(path: Path, clock: FakeClock) -> list[int]:
    """Return the store's size after each of 12 nights of 10,000 runs; 10 of these never finish.

    Their foreign ids are forgotten, of which hashes of 16 bytes would stay.
    """
    rows, sizes = 10_000, []
    for night in range(12):
        with inline_engine(things(), path=str(path), clock=clock) as engine:
            numbers = f"SELECT range + {night * rows} AS number FROM range({rows})"
            engine.trigger_many(numbers, foreign_id="number")
            engine.pause(f"number >= {night * rows} AND number % 1000 = 0")
            engine.run()
            engine.prune(1.5 * DAY, forget=True)
        sizes.append(path.stat().st_size)
        clock.advance(DAY.total_seconds())
    return sizes
