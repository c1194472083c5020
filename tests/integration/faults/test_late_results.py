"""A pause, resumption or cancellation of runs whose chunk is under way stays in effect."""

from __future__ import annotations

import enum
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf

ROWS, CHOSEN = 20, 8
MINE = f"number < {CHOSEN}"


class Stage(enum.Enum):
    NEW = 1
    CHECKED = 2
    DONE = 3


@dataclass
class Parcel:
    number: int
    checks: int = 0


class Gate:
    """A gate at which a step waits, in any process, until it is opened."""

    def __init__(self, folder: Path) -> None:
        self._arrived, self._open = folder / "arrived", folder / "open"
        os.mkfifo(self._arrived)

    def pass_through(self) -> None:
        """Wait, the first time; called by the step."""
        if not self._open.exists():
            self._arrived.write_text("here")
            while not self._open.exists():
                time.sleep(0.005)

    def open(self) -> None:
        """Let all steps pass."""
        self._open.touch()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Run the body while a step waits at the gate."""
        assert self._arrived.read_text() == "here"
        try:
            yield
        finally:
            self.open()


def parcels(kind: str, gate: Gate) -> bf.Workflow[Parcel, Stage]:
    workflow = bf.Workflow("parcels", Parcel, Stage)
    if kind == "row":

        @workflow.step(Stage.NEW, to=Stage.CHECKED)
        def check(run: bf.Run[Parcel, Stage]) -> Stage:
            gate.pass_through()
            run.object.checks += 1
            return Stage.CHECKED

    elif kind == "batch":

        @workflow.batch_step(Stage.NEW, to=Stage.CHECKED)
        def check_all(batch: bf.Batch[Parcel, Stage]) -> Stage:
            gate.pass_through()
            batch["checks"] = batch["checks"] + 1
            return Stage.CHECKED

    else:

        @workflow.step(Stage.NEW, to=Stage.CHECKED)
        def fail(run: bf.Run[Parcel, Stage]) -> Stage:
            gate.pass_through()
            if run.attempt == 1 and run.object.checks == 0:
                raise ConnectionError("not now")
            run.object.checks += 1
            return Stage.CHECKED

    workflow.sql_step(Stage.CHECKED, to=[Stage.DONE], set={"checks": "checks + 10"}, status="DONE")
    return workflow


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


# A kind of step, and the number of workers.
@pytest.fixture(params=[("row", 0), ("batch", 1)], ids=["row-inline", "batch-pool"])
def engine(request: pytest.FixtureRequest, gate: Gate, tmp_path: Path) -> Iterator[bf.Engine]:
    kind, workers = request.param
    path = tmp_path / "parcels.duckdb"
    with bf.Engine(path, parcels(kind, gate), workers=workers) as engine:
        query = f"SELECT range AS number FROM range({ROWS})"
        engine.trigger_many(query, foreign_id="number", at="NEW")
        yield engine


@contextmanager
def draining(engine: bf.Engine, gate: Gate) -> Iterator[Future[bf.Report]]:
    """Drain in another thread, and run the body while the first chunk is under way."""
    with ThreadPoolExecutor(1) as thread:
        report = thread.submit(engine.run)
        with gate.closed():
            yield report


def found(engine: bf.Engine, columns: str, where: str | None = None) -> list[Any]:
    return engine.runs(where).aggregate(columns).fetchall()


def assert_log_matches_the_table(engine: bf.Engine) -> None:
    """Check that each run's transitions are consecutive, one per version, and end at its status."""
    broken = engine.sql(
        """
        WITH log AS (
            SELECT seq, version, from_status, to_status, run_state,
                   lag(to_status) OVER (PARTITION BY seq ORDER BY version) AS before,
                   lag(version) OVER (PARTITION BY seq ORDER BY version) AS last,
                   lead(version) OVER (PARTITION BY seq ORDER BY version) AS next
            FROM parcels.transitions)
        SELECT l.seq FROM log AS l JOIN parcels.runs AS r USING (seq)
        WHERE coalesce(l.before, 'NEW') <> l.from_status OR l.version <> coalesce(l.last, 1) + 1
           OR (l.next IS NULL
               AND (l.version, l.to_status, l.run_state) <> (r.version, r.status, r.run_state))
        """
    )
    assert broken.fetchall() == []


def assert_all_done(engine: bf.Engine) -> None:
    assert found(engine, "status, run_state, checks, count(*)") == [("DONE", "COMPLETED", 11, ROWS)]
    advanced = engine.sql(
        "SELECT count(*), count(DISTINCT (seq, from_status)) FROM parcels.transitions "
        "WHERE outcome = 'advanced'"
    )
    assert advanced.fetchall() == [(2 * ROWS, 2 * ROWS)]
    assert_log_matches_the_table(engine)


def test_a_pause_stays_and_the_late_result_is_refused_and_counted(
    engine: bf.Engine, gate: Gate
) -> None:
    with draining(engine, gate) as drain:
        assert engine.pause(MINE, reason="look at these") == bf.ControlReport("paused", CHOSEN, 0)
    assert drain.result().refused == CHOSEN
    assert found(engine, "status, run_state, reason, checks, count(*)", MINE) == [
        ("NEW", "PAUSED", "look at these", 0, CHOSEN)
    ]
    assert_log_matches_the_table(engine)
    engine.resume("true")
    assert engine.run().refused == 0
    assert_all_done(engine)


def test_a_cancellation_stays_and_the_late_result_is_refused_and_counted(
    engine: bf.Engine, gate: Gate
) -> None:
    with draining(engine, gate) as drain:
        assert engine.cancel(MINE, reason="not wanted").changed == CHOSEN
    assert drain.result().refused == CHOSEN
    assert found(engine, "status, run_state, reason, checks, count(*)", MINE) == [
        ("NEW", "CANCELLED", "not wanted", 0, CHOSEN)
    ]
    assert engine.run().runs == 0
    assert_log_matches_the_table(engine)


def test_a_run_paused_and_resumed_during_its_step_is_executed_again_in_the_same_drain(
    engine: bf.Engine, gate: Gate
) -> None:
    with draining(engine, gate) as drain:
        engine.pause(MINE)
        assert engine.resume(MINE).changed == CHOSEN
    assert drain.result().refused == CHOSEN
    assert_all_done(engine)


@pytest.mark.parametrize("engine", [("failing", 1)], indirect=True)
def test_a_late_failure_is_refused_like_any_result_and_leaves_no_error(
    engine: bf.Engine, gate: Gate
) -> None:
    with draining(engine, gate) as drain:
        engine.pause(MINE)
    report = drain.result()
    assert report.refused == CHOSEN
    assert report.outcome("failed") == ROWS - CHOSEN
    told = engine.sql("SELECT count(*), count(DISTINCT seq), min(seq) FROM parcels.errors")
    assert told.fetchall() == [(ROWS - CHOSEN, ROWS - CHOSEN, CHOSEN)]
    assert found(engine, "attempt, count(*)", MINE) == [(1, CHOSEN)]
    assert_log_matches_the_table(engine)


@pytest.mark.parametrize("engine", [("row", 1)], indirect=True)
def test_sql_steps_continue_while_others_pause_resume_and_cancel(
    engine: bf.Engine, gate: Gate
) -> None:
    gate.open()
    engine.start()
    stop = threading.Event()

    def change_runs() -> None:
        while not stop.is_set():
            engine.pause("seq % 3 = 0")
            engine.resume("seq % 3 = 0")

    meddling = threading.Thread(target=change_runs)
    meddling.start()
    try:
        for number in range(ROWS, 70):
            run_id = engine.trigger(str(number), Parcel(number))
    finally:
        stop.set()
        meddling.join()
        engine.stop()
    engine.resume("run_state = 'PAUSED'")
    engine.run()
    assert engine.get(run_id).status is Stage.DONE
    assert found(engine, "status, checks, count(*)") == [("DONE", 11, 70)]
    assert_log_matches_the_table(engine)
