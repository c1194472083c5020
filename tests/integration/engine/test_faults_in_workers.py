"""The faults of the testing module are sent to workers, and have the documented effects."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest
from faulty_kit import RUNS, STRUCK, is_struck

import batchflow as bf
from batchflow import testing
from kit.things import Stage, Thing, finish, finish_async, finish_batch, load, things

KINDS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "row": (finish, {}),
    "async": (finish_async, {}),
    "batch": (finish_batch, {"batch": True}),
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
def test_only_the_run_with_the_fault_fails(
    step: Callable[..., Any],
    options: dict[str, Any],
    fault: testing.Fault,
    error: str,
    message: str,
) -> None:
    faulty = testing.with_fault(step, fault, when=is_struck)
    retry = bf.Retry(pause_after=1)
    workflow = things(faulty, retry=retry, timeout_seconds=0.2, **options)
    with bf.Engine(":memory:", workflow, workers=2) as engine:
        load(engine, RUNS)
        report = engine.run()
        left = engine.runs("status <> 'DONE'").select("number, run_state::VARCHAR").fetchall()
        errors = engine.errors().select("type, count, message").fetchall()

    assert left == [(STRUCK, "PAUSED")]
    assert report.outcome("advanced") == RUNS - 1
    [(kind, count, text)] = errors
    assert (kind, count) == (error, 1)
    assert message in text


def test_a_worker_with_faults_does_not_import_duckdb() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        assert "duckdb" not in sys.modules
        return Stage.DONE

    faulty = testing.with_fault(step, testing.hangs(0), when=lambda run: True)
    with bf.Engine(":memory:", things(faulty), workers=1) as engine:
        engine.trigger("a", Thing())
        report = engine.run()

    assert report.outcome("advanced") == 1
