"""The fault kit crosses to the workers, and its faults are those that it says."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest
from faulty_kit import RUNS, STRUCK, Stage, Thing, async_step, batch_step, is_struck, row_step

import batchflow as bf
from batchflow import testing

KINDS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "row": (row_step, {}),
    "async": (async_step, {}),
    "batch": (batch_step, {"batch": True}),
}

FAULTS: dict[str, tuple[testing.Fault, str, str]] = {
    "exits": (testing.exits(3), "WorkerDied", "exit code 3"),
    "segfaults": (testing.segfaults(), "WorkerDied", "SIGSEGV"),
    "is killed": (testing.is_killed(), "WorkerDied", "SIGKILL"),
    "is aborted": (testing.is_killed(signal.SIGABRT), "WorkerDied", "SIGABRT"),
    "raises": (testing.raises(SystemExit), "SystemExit", ""),
    "answers": (testing.answers(b"nonsense"), "InvalidOutcome", "bytes"),
    "hangs": (testing.hangs(), "StepTimeout", "timeout_seconds"),
}


@pytest.mark.parametrize(("step", "options"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("fault", "error", "message"), FAULTS.values(), ids=FAULTS)
def test_the_run_in_question_fails_alone(
    step: Callable[..., Any],
    options: dict[str, Any],
    fault: testing.Fault,
    error: str,
    message: str,
) -> None:
    workflow = bf.Workflow("things", Thing, Stage, retry=bf.Retry(pause_after=1))
    faulty = testing.with_fault(step, fault, when=is_struck)
    workflow.add_step(Stage.NEW, faulty, Stage.DONE, timeout_seconds=0.2, **options)
    with bf.Engine(":memory:", workflow, workers=2) as engine:
        engine.trigger_many([Thing(number) for number in range(RUNS)], foreign_id="number")
        report = engine.run()
        left = engine.runs("status <> 'DONE'").select("number, run_state::VARCHAR").fetchall()
        errors = engine.errors().select("type, count, message").fetchall()

    assert left == [(STRUCK, "PAUSED")]
    assert report.outcome("advanced") == RUNS - 1
    [(kind, count, text)] = errors
    assert (kind, count) == (error, 1)
    assert message in text


def test_a_worker_needs_no_duckdb_for_it() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        assert "duckdb" not in sys.modules
        return Stage.DONE

    faulty = testing.with_fault(step, testing.hangs(0), when=lambda run: True)
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.add_step(Stage.NEW, faulty, Stage.DONE)
    with bf.Engine(":memory:", workflow, workers=1) as engine:
        engine.trigger("a", Thing())
        report = engine.run()

    assert report.outcome("advanced") == 1
