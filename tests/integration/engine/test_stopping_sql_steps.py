"""A SQL step that doesn't end is interrupted when the time for a stop is over."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import batchflow as bf
from kit.things import Stage, Thing

ENDLESS = "(SELECT count(*) FROM range(1_000_000_000) a, range(1_000_000_000) b)"
GRACE_SECONDS = 0.2


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("endless") / "things.duckdb"


def opened(path: Path, grace_seconds: float = GRACE_SECONDS) -> bf.Engine:
    things = bf.Workflow("things", Thing, Stage)
    things.sql_step(Stage.NEW, to=Stage.DONE, set={"number": ENDLESS})
    config = bf.EngineConfig(grace_seconds=grace_seconds)
    engine = bf.Engine(path, things, workers=0, config=config)
    if not engine.runs().fetchall():
        engine.trigger_many([Thing(1), Thing(2)], foreign_id="number")
    return engine


@pytest.fixture(scope="module")
def engine(path: Path) -> Iterator[bf.Engine]:
    with opened(path) as engine:
        yield engine


def in_background(engine: bf.Engine) -> None:
    engine.start()
    while engine.progress() is None:
        time.sleep(0.01)


def after_stop(engine: bf.Engine) -> None:
    in_background(engine)
    engine.stop()


def after_request(engine: bf.Engine) -> None:
    threading.Timer(0.2, lambda: bf.connect(engine.path).request_stop()).start()
    assert engine.run().ended_by == "stopped"


def after_until(engine: bf.Engine) -> None:
    report = engine.run(until=datetime.now(UTC) + timedelta(seconds=0.2))
    assert (report.ended_by, report.runs, report.left) == ("until", 0, 2)
    [call] = report.unfinished_calls
    assert (call.status, call.runs) == ("NEW", 2)


def after_ctrl_c(engine: bf.Engine, times: int = 1) -> None:
    for time_ in range(times):
        threading.Timer(0.2 + time_ / 10, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    assert engine.last_report is not None
    assert engine.last_report.ended_by == "stopped"
    assert len(engine.last_report.unfinished_calls) == 1


def is_unchanged(engine: bf.Engine) -> bool:
    counts = "SELECT count(*) FROM things.transitions UNION ALL SELECT count(*) FROM things.errors"
    return engine.sql(counts).fetchall() == [(0,), (0,)]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("way", [after_stop, after_request, after_until, after_ctrl_c])
def test_after_its_grace_time_a_step_in_the_store_is_interrupted(
    engine: bf.Engine, way: Callable[[bf.Engine], None]
) -> None:
    way(engine)
    assert is_unchanged(engine)


@pytest.mark.timeout(20)
def test_a_second_ctrl_c_interrupts_it_at_once_and_close_after_the_grace_time(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "patient.duckdb", grace_seconds=3600) as patient:
        after_ctrl_c(patient, times=2)
        assert is_unchanged(patient)
    hasty = opened(tmp_path / "hasty.duckdb", grace_seconds=0.1)
    in_background(hasty)
    hasty.close()
