"""Calls of steps that don't return: named while they run and at the end, and never in the way."""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf
from kit.things import Stage, Thing, load, things

RUNS, HANGS = 9, 4
LONG = 600.0
# Long enough to be seen under way, and to be logged in a test.
UNDER_WAY_SECONDS = 0.7
SIGN = "BATCHFLOW_TEST_SIGN"


def begin_to_hang() -> None:
    Path(os.environ[SIGN]).touch()


def hang(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.number == HANGS:
        run.object.number = -1
        begin_to_hang()
        time.sleep(LONG)
    run.object.number += 100
    return Stage.DONE


async def hang_async(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.number == HANGS:
        begin_to_hang()
        await asyncio.sleep(LONG)
    run.object.number += 100
    return Stage.DONE


def hang_in_native_code(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.number == HANGS:
        begin_to_hang()
        re.match("(a|a)*b", "a" * 60)
    return Stage.DONE


def hang_as_batch(batch: bf.Batch[Thing, Stage]) -> Stage:
    if HANGS in batch["number"]:
        begin_to_hang()
        time.sleep(LONG)
    batch["number"] = batch["number"] + 100
    return Stage.DONE


@pytest.fixture
def path(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(SIGN, str(path.with_name("hangs")))
    return path


@contextmanager
def stopped_when_it_hangs(engine: bf.Engine) -> Iterator[None]:
    """Stop the drain of this thread once a call hangs."""
    sign = Path(os.environ[SIGN])
    sign.unlink(missing_ok=True)

    def stop() -> None:
        while not sign.exists():
            time.sleep(0.01)
        time.sleep(UNDER_WAY_SECONDS)
        engine.request_stop()

    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    yield
    thread.join()


def drained(path: Path, step: Any, grace_seconds: float = 0.05, **options: Any) -> dict[str, Any]:
    """Drain until the step hangs for longer than the grace time; return what is left of it."""
    config = bf.EngineConfig(grace_seconds=grace_seconds, seed=1)
    with bf.Engine(path, things(step, **options), workers=1, config=config) as engine:
        load(engine, RUNS)
        with stopped_when_it_hangs(engine):
            report = engine.run()
        errors = engine.sql("SELECT run_id, type, message, attempt FROM things.errors").fetchall()
        return {
            "report": report,
            "errors": errors,
            "hung": engine.get(str(HANGS)),
            "done": engine.runs("status = 'DONE'").select("number").order("number").fetchall(),
        }


def numbers(*values: int) -> list[tuple[int]]:
    return [(value + 100,) for value in values]


def test_a_call_that_hangs_is_named_and_an_attempt_and_the_results_beside_it_are_kept(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchflow.coordinator.calls.FIRST_LOGGED_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("batchflow.coordinator.calls._LOOK_SECONDS", 0.05)
    with caplog.at_level(logging.WARNING, logger="batchflow"):
        found = drained(path, hang)

    assert found["done"] == numbers(0, 1, 2, 3)
    hung, report = found["hung"], found["report"]
    assert (hung.attempt, hung.run_state, hung.object.number) == (2, bf.RunState.RUNNING, HANGS)
    [call] = report.unfinished_calls
    assert (call.step, call.run_id, call.runs) == ("hang", hung.run_id, 1)
    [(run_id, kind, message, attempt)] = found["errors"]
    assert (run_id, kind, attempt) == (hung.run_id, "StepAbandoned", 1)
    assert f"{call.since:%Y-%m-%d %H:%M:%S}" in message
    assert str(hung.run_id) in str(report)
    assert (report.left, report.waiting_for_retry) == (RUNS - HANGS - 1, 1)
    logged = [r for r in caplog.records if getattr(r, "action", "") == "unfinished_call"]
    # Other calls may have been under way as well when it was looked for them.
    of_it = [record for record in logged if record.__dict__["run_id"] == str(hung.run_id)]
    assert len(of_it) >= 2
    assert of_it[-1] is logged[-1]


def test_a_run_that_hung_no_longer_holds_up_the_others(path: Path) -> None:
    retry = bf.Retry(backoff_seconds=0)
    drained(path, hang, retry=retry)
    config = bf.EngineConfig(grace_seconds=0.05)
    with bf.Engine(path, things(hang, retry=retry), workers=1, config=config) as engine:
        with stopped_when_it_hangs(engine):
            engine.run()
        assert engine.runs("status = 'DONE'").aggregate("count(*)").fetchall() == [(RUNS - 1,)]


@pytest.mark.parametrize(
    ("step", "options"),
    [(hang_async, {"concurrency": RUNS}), (hang, {"threads": RUNS})],
    ids=["async", "threads"],
)
def test_of_concurrent_calls_only_the_one_that_hangs_fails(
    path: Path, step: Any, options: dict[str, int]
) -> None:
    found = drained(path, step, **options)
    assert found["done"] == numbers(*(n for n in range(RUNS) if n != HANGS))
    assert [error[:2] for error in found["errors"]] == [(found["hung"].run_id, "StepAbandoned")]


def test_a_call_of_a_batch_that_hangs_fails_for_all_its_runs(path: Path) -> None:
    found = drained(path, hang_as_batch, batch=True)
    assert found["done"] == []
    assert {error[1] for error in found["errors"]} == {"StepAbandoned"}
    [call] = found["report"].unfinished_calls
    assert call.run_id is None
    assert call.runs == len(found["errors"]) == RUNS


def test_a_call_that_keeps_the_interpreter_is_named_without_the_workers_help(path: Path) -> None:
    found = drained(path, hang_in_native_code)
    assert [error[:2] for error in found["errors"]] == [(found["hung"].run_id, "StepAbandoned")]
    assert len(found["report"].unfinished_calls) == 1


def test_a_call_without_grace_time_is_named_and_no_attempt(path: Path) -> None:
    found = drained(path, hang, grace_seconds=0)
    assert len(found["report"].unfinished_calls) == 1
    assert found["errors"] == []
    assert found["hung"].attempt == 1


class Way(enum.Enum):
    FIRST = 1
    SECOND = 2
    DONE = 3


def to_second(run: bf.Run[Thing, Way]) -> Way:
    return Way.SECOND


def hang_in_second(run: bf.Run[Thing, Way]) -> Way:
    if run.object.number == HANGS:
        begin_to_hang()
        time.sleep(LONG)
    return Way.DONE


def hang_natively_in_second(run: bf.Run[Thing, Way]) -> Way:
    if run.object.number == HANGS:
        begin_to_hang()
        re.match("(a|a)*b", "a" * 60)
    return Way.DONE


@pytest.mark.parametrize(
    ("second", "status"),
    [
        (hang_in_second, "SECOND"),
        # Its worker can't answer, so the result of the first step is lost with it.
        (hang_natively_in_second, "FIRST"),
    ],
)
def test_a_call_that_hangs_in_a_later_step_of_a_visit_is_named_and_an_attempt(
    path: Path, second: Any, status: str
) -> None:
    workflow = bf.Workflow("things", Thing, Way)
    workflow.add_step(Way.FIRST, to_second, Way.SECOND)
    workflow.add_step(Way.SECOND, second, Way.DONE)
    config = bf.EngineConfig(grace_seconds=0.05, seed=1)
    with bf.Engine(path, workflow, workers=1, config=config) as engine:
        engine.trigger_many([Thing(n) for n in range(RUNS)], foreign_id="number", at=Way.FIRST)
        with stopped_when_it_hangs(engine):
            report = engine.run()
        errors = engine.sql("SELECT status, type, message, attempt FROM things.errors").fetchall()
        hung = engine.get(str(HANGS))

    [call] = report.unfinished_calls
    assert (call.step, call.run_id) == (second.__name__, hung.run_id)
    [(at, kind, message, attempt)] = errors
    assert (at, kind, attempt) == (status, "StepAbandoned", 1)
    assert second.__name__ in message
    assert (hung.status.name, hung.attempt) == (status, 2)
