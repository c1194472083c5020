"""A run that ends its worker, or never ends, fails alone; all other runs advance."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf
from kit.calls import Calls
from kit.kept_executor import KeptExecutor
from kit.things import Stage, Thing, load, things

RUNS = 200
DEADLY = 77

# How a run ends its worker, by its number.
ENDS: dict[int, Callable[[], object]] = {
    33: lambda: os.kill(os.getpid(), signal.SIGKILL),
    77: lambda: os._exit(0),
    150: lambda: ctypes.string_at(0),
}


def drained(
    function: Callable[..., Any],
    *,
    runs: int = RUNS,
    retry: bf.Retry = bf.Retry(pause_after=1),  # noqa: B008 - it never changes
    config: bf.EngineConfig | None = None,
    **options: Any,
) -> tuple[bf.Report, list[Any], list[Any]]:
    """Return the report, the runs that didn't get to the end, and the stored errors."""
    workflow = things(function, retry=retry, **options)
    with bf.Engine(":memory:", workflow, workers=2, config=config) as engine:
        load(engine, runs)
        report = engine.run(wait_for_retries=True)
        left = engine.runs("status <> 'DONE'").select("number, run_state::VARCHAR").fetchall()
        return report, left, engine.errors().select("type, count").fetchall()


@pytest.mark.parametrize("batch", [False, True], ids=["row", "batch"])
def test_a_run_that_ends_its_worker_fails_alone(batch: bool) -> None:
    def step(given: Any) -> Stage:
        for number in given["number"].tolist() if batch else [given.object.number]:
            if number in ENDS:
                ENDS[number]()
        return Stage.DONE

    report, left, errors = drained(step, batch=batch)

    assert sorted(left) == [(number, "PAUSED") for number in ENDS]
    assert errors == [("WorkerDied", 1)] * len(ENDS), "each way to end is counted by itself"
    assert (report.outcome("advanced"), report.outcome("failed")) == (RUNS - len(ENDS), len(ENDS))


@pytest.mark.parametrize("batch", [False, True], ids=["row", "batch"])
def test_a_run_that_takes_too_long_fails_alone(batch: bool) -> None:
    def step(given: Any) -> Stage:
        while DEADLY in (given["number"].tolist() if batch else [given.object.number]):
            time.sleep(0.001)
        return Stage.DONE

    _, left, errors = drained(step, batch=batch, timeout_seconds=0.1)

    assert left == [(DEADLY, "PAUSED")]
    assert errors == [("StepTimeout", 1)]


def test_the_end_of_a_worker_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        if run.object.number == DEADLY:
            os._exit(3)
        return Stage.DONE

    with caplog.at_level(logging.WARNING, logger="batchflow"):
        drained(step)

    told = [record for record in caplog.records if record.__dict__["action"] == "replace_worker"]
    assert {record.__dict__["cause"] for record in told} == {"its worker ended with exit code 3"}
    assert {record.__dict__["lost_chunks"] for record in told} <= {1, 2}


@pytest.mark.parametrize("batch", [False, True], ids=["row", "batch"])
def test_a_run_that_ended_a_worker_stays_isolated_even_after_a_restart(
    batch: bool, tmp_path: Path
) -> None:
    calls = Calls(tmp_path / "calls")
    store = tmp_path / "things.duckdb"

    def step(given: Any) -> Stage:
        numbers = given["number"].tolist() if batch else [given.object.number]
        calls.note(numbers)
        if DEADLY in numbers:
            os._exit(9)
        return Stage.DONE

    retry = bf.Retry(pause_after=4, backoff_seconds=0.01)
    workflow = bf.Workflow("things", Thing, Stage, retry=retry)
    workflow.add_step(Stage.NEW, step, Stage.DONE, batch=batch)

    def drain(more: range) -> list[tuple[Any, ...]]:
        with bf.Engine(store, workflow, workers=2) as engine:
            engine.resume(where="run_state = 'PAUSED'", workflow=workflow)
            engine.trigger_many([Thing(number) for number in more], foreign_id="number")
            engine.run(wait_for_retries=True)
            left = engine.runs("status <> 'DONE'")
            return left.select("number, run_state::VARCHAR, reason").fetchall()

    paused = [(DEADLY, "PAUSED", "failed 4 times in a row, last with WorkerDied")]
    assert drain(range(RUNS)) == paused
    calls_until_found = _deadly(calls)
    assert drain(range(RUNS, 2 * RUNS)) == paused

    # It shares a worker at most once. Once it has been isolated, it stays isolated. It may be
    # called once more, to prove that no run before it ended the worker.
    alone = [numbers for _, numbers in calls_until_found if numbers == [DEADLY]]
    assert len(alone) in (4, 5)
    later = _deadly(calls)[len(calls_until_found) :]
    assert [numbers for _, numbers in later] == [[DEADLY]] * 4
    together = {pid for pid, numbers in calls.all() if numbers != [DEADLY]}
    assert not together & {pid for pid, _ in later}


def _deadly(calls: Calls) -> list[tuple[int, list[int]]]:
    return [(pid, numbers) for pid, numbers in calls.all() if DEADLY in numbers]


@pytest.mark.parametrize("bad", [1, 8])
def test_the_runs_that_end_a_batchs_worker_are_identified_in_few_calls(
    bad: int, tmp_path: Path
) -> None:
    calls = Calls(tmp_path / "calls")
    runs = 1_024
    deadly = set(range(runs // (2 * bad), runs, runs // bad))

    def step(batch: Any) -> Stage:
        numbers = batch["number"].tolist()
        calls.note(numbers)
        if deadly.intersection(numbers):
            os._exit(9)
        return Stage.DONE

    _, left, _ = drained(step, batch=True, runs=runs, chunk_rows=runs)

    assert {number for number, _ in left} == deadly
    made = [numbers for _, numbers in calls.all()]
    ended = [numbers for numbers in made if deadly.intersection(numbers)]
    # The search ends three workers for each run, and the call that proves it one more; besides
    # these there is the shared worker.
    assert len(ended) <= 4 * bad + 1
    # The search takes four calls for each bit of the run's place, and two more for each run.
    bits = math.log2(runs / bad)
    assert len(made) <= bad * (5 * bits + 5)


def test_a_step_that_eats_memory_fails_its_run_alone() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        grown = []
        while run.object.number == DEADLY:
            grown.append(bytearray(10_000_000))
        return Stage.DONE

    config = bf.EngineConfig(worker_memory_limit="200MB")
    _, left, errors = drained(step, config=config)

    assert left == [(DEADLY, "PAUSED")]
    assert errors == [("MemoryError", 1)]


def test_a_step_that_leaks_memory_fails_no_run() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        step.__dict__.setdefault("kept", []).append(bytearray(5_000_000))
        return Stage.DONE

    config = bf.EngineConfig(worker_memory_limit="200MB")
    report, left, errors = drained(step, runs=90, config=config)

    assert (left, errors) == ([], [])
    assert report.outcome("advanced") == 90


def test_an_invalid_amount_of_memory_is_rejected() -> None:
    workflow = things()

    with pytest.raises(bf.InvalidOptionError, match="worker_memory_limit is 'lots'; give"):
        bf.Engine(":memory:", workflow, config=bf.EngineConfig(worker_memory_limit="lots"))


def wait_until_done(engine: bf.Engine, runs: int) -> None:
    """Wait until so many runs got to the end."""
    deadline = time.monotonic() + 60
    while len(engine.runs("status = 'DONE'")) < runs and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_worker_that_is_killed_from_outside_is_replaced_and_no_run_fails() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        time.sleep(0.002)
        return Stage.DONE

    workflow = things(step, retry=bf.Retry(pause_after=1), chunk_rows=50)
    executor = KeptExecutor(bf.ProcessPool(2))
    with bf.Engine(":memory:", workflow, executor=executor) as engine:
        load(engine, 1_000)
        engine.start()
        for done in range(50, 550, 50):
            # Only workers that end without any result in between end the drain.
            wait_until_done(engine, done)
            # The first is never an isolated worker, whose run would be blamed if it were alone.
            with contextlib.suppress(ProcessLookupError):
                os.kill(executor.pids[0], signal.SIGKILL)
        wait_until_done(engine, 1_000)
        engine.stop()

        assert engine.counts().select("status::VARCHAR, runs").fetchall() == [("DONE", 1_000)]
        assert engine.errors().fetchall() == []
