"""The faults of the testing module are sent to workers, and have the documented effects."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from faulty_kit import RUNS, STRUCK, is_struck

import batchflow as bf
from batchflow import testing
from kit.things import Stage, Thing, finish, finish_async, finish_batch, numbers, things

KINDS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "row": (finish, {}),
    "async": (finish_async, {}),
    "batch": (finish_batch, {"batch": True}),
}

FAULTS: dict[str, tuple[testing.Fault, str, str]] = {
    "exits": (testing.exits(3), "WorkerDied", "exit code 3"),
    "segfaults": (testing.segfaults(), "WorkerDied", "SIGSEGV"),
    "is_killed": (testing.is_killed(), "WorkerDied", "SIGKILL"),
    "is_aborted": (testing.is_killed(signal.SIGABRT), "WorkerDied", "SIGABRT"),
    "raises": (testing.raises(SystemExit), "SystemExit", ""),
    "answers": (testing.answers(b"nonsense"), "InvalidOutcome", "bytes"),
    "hangs": (testing.hangs(), "StepTimeout", "timeout_seconds"),
}


Found = tuple[list[Any], list[Any], int]


def named(fault: str, kind: str) -> str:
    return f"{fault}_{kind}"


def faulty_things() -> Iterator[bf.Workflow[Thing, Stage]]:
    """Yield a workflow for each fault and each kind of step."""
    for (kind, (step, options)), (name, (fault, *_)) in product(KINDS.items(), FAULTS.items()):
        faulty = testing.with_fault(step, fault, when=is_struck)
        retry = bf.Retry(pause_after=1)
        # On a busy machine, a worker may take longer than that to end.
        timeout = {"timeout_seconds": 0.2} if name == "hangs" else {}
        yield things(faulty, name=named(name, kind), retry=retry, **timeout, **options)


def found_of(engine: bf.Engine, workflow: str, report: bf.Report) -> Found:
    left = engine.runs("status <> 'DONE'", workflow=workflow)
    errors = engine.errors(workflow=workflow)
    [step] = [step for step in report.steps if step.workflow == workflow]
    return (
        left.select("number, run_state::VARCHAR").fetchall(),
        errors.select("type, count, message").fetchall(),
        step.outcomes["advanced"],
    )


@pytest.fixture(scope="module")
def found() -> dict[str, Found]:
    """Drain all of the workflows at once; return what did not end, the errors, the advances."""
    workflows = list(faulty_things())
    with bf.Engine(":memory:", *workflows, workers=2) as engine:
        for each in workflows:
            engine.trigger_many(numbers(RUNS), foreign_id="number", workflow=each)
        report = engine.run()
        return {each.name: found_of(engine, each.name, report) for each in workflows}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_only_the_run_with_the_fault_fails(fault: str, kind: str, found: dict[str, Found]) -> None:
    _, error, message = FAULTS[fault]
    left, errors, advanced = found[named(fault, kind)]

    assert left == [(STRUCK, "PAUSED")]
    assert advanced == RUNS - 1
    [(error_type, count, text)] = errors
    assert (error_type, count) == (error, 1)
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
