"""A run that ends its worker, or never ends, fails alone; everybody else advances."""

from __future__ import annotations

import ctypes
import enum
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import batchflow as bf


class Stage(enum.Enum):
    NEW = "new"
    DONE = "done"


@dataclass
class Thing:
    number: int = 0


RUNS = 200
DEADLY = 77

ENDS: dict[str, Callable[[], object]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(0),
    "segfault": lambda: ctypes.string_at(0),
}


def drained(function: Callable[..., Any], **options: Any) -> tuple[bf.Report, list[Any], list[Any]]:
    """The report, who didn't get to the end, and the stored errors."""
    workflow = bf.Workflow("things", Thing, Stage, retry=bf.Retry(pause_after=1))
    workflow.add_step(Stage.NEW, function, Stage.DONE, **options)
    with bf.Engine(":memory:", workflow, workers=2) as engine:
        engine.trigger_many([Thing(number) for number in range(RUNS)], foreign_id="number")
        report = engine.run()
        left = engine.runs("status <> 'DONE'").select("number, run_state::VARCHAR").fetchall()
        return report, left, engine.errors().select("type, count").fetchall()


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("batch", [False, True], ids=["row", "batch"])
def test_a_run_that_ends_its_worker_fails_alone(end: Callable[[], object], batch: bool) -> None:
    def step(given: Any) -> Stage:
        if DEADLY in (given["number"].tolist() if batch else [given.object.number]):
            end()
        return Stage.DONE

    report, left, errors = drained(step, batch=batch)

    assert left == [(DEADLY, "PAUSED")]
    assert errors == [("WorkerDied", 1)]
    assert (report.outcome("advanced"), report.outcome("failed")) == (RUNS - 1, 1)


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
