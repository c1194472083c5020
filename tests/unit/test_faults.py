"""A fault affects the runs that a predicate names, in every kind of step, and no others."""

from __future__ import annotations

import enum
import inspect
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

import batchflow as bf
from batchflow import testing
from batchflow.definition.step import is_async_function, name_of_function

RUNS = 50
STRUCK = (7, 31)


class Stage(enum.Enum):
    NEW = "new"
    DONE = "done"
    NOWHERE = "nowhere"


@dataclass
class Thing:
    number: int
    label: str = ""


def row_step(run: bf.Run[Thing, Stage]) -> Stage:
    run.object.label = "fine"
    return Stage.DONE


async def async_step(run: bf.Run[Thing, Stage]) -> Stage:
    return row_step(run)


def batch_step(batch: bf.Batch[Thing, Stage]) -> Stage:
    batch["label"] = "fine"
    return Stage.DONE


def numbered(*numbers: int) -> Callable[[Any], Any]:
    def is_one(given: Any) -> Any:
        if isinstance(given, bf.Batch):
            return np.isin(given["number"], numbers)
        return given.object.number in numbers

    return is_one


is_struck = numbered(*STRUCK)


KINDS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "row": (row_step, {}),
    "threads": (row_step, {"threads": 2}),
    "async": (async_step, {}),
    "batch": (batch_step, {"batch": True}),
}


def ended(step: Callable[..., Any], **options: Any) -> tuple[dict[str, int], list[Any], list[Any]]:
    """Return the counts of outcomes, the runs that didn't end unharmed, and the errors."""
    workflow = bf.Workflow("things", Thing, Stage, retry=bf.Retry(pause_after=1))
    workflow.add_step(Stage.NEW, step, Stage.DONE, **options)
    with testing.inline_engine(workflow) as engine:
        engine.trigger_many([Thing(number) for number in range(RUNS)], foreign_id="number")
        report = engine.run()
        left = engine.runs("status <> 'DONE' OR label <> 'fine'").select("number").fetchall()
        counts = {name: report.outcome(name) for name in ("advanced", "failed")}
        return counts, left, engine.errors().select("type, count, message").fetchall()


FAULTS: list[tuple[testing.Fault, str]] = [
    (testing.raises(OSError("no line")), "OSError"),
    (testing.raises(KeyError), "KeyError"),
    (testing.raises(partial(ValueError, "made there")), "ValueError"),
    (testing.answers("nonsense"), "InvalidOutcome"),
    (testing.answers([1, 2]), "InvalidOutcome"),
    (testing.answers(Stage.NOWHERE), "InvalidOutcome"),
    (testing.leaves(label=5), "InvalidObject"),
    (testing.leaves(label="\ud800"), "InvalidObject"),
]


@pytest.mark.parametrize("kind", ["row", "async", "batch"])
def test_a_fault_fails_only_the_runs_that_the_predicate_names(kind: str) -> None:
    step, options = KINDS[kind]
    struck = {number: (2 * number, RUNS - 1 - 2 * number) for number in range(len(FAULTS))}
    for number, (fault, _) in enumerate(FAULTS):
        step = testing.with_fault(step, fault, when=numbered(*struck[number]))
    workflow = bf.Workflow("things", Thing, Stage, retry=bf.Retry(pause_after=1))
    workflow.add_step(Stage.NEW, step, Stage.DONE, **options)
    with testing.inline_engine(workflow) as engine:
        engine.trigger_many([Thing(number) for number in range(RUNS)], foreign_id="number")
        report = engine.run()
        left = engine.runs("status <> 'DONE' OR label <> 'fine'").select("number").fetchall()
        found = engine.sql(
            "SELECT number, type FROM things.errors JOIN things.runs USING (seq) ORDER BY number"
        ).fetchall()

    expected = {run: FAULTS[number][1] for number, runs in struck.items() for run in runs}
    assert found == sorted(expected.items())
    assert left == [(run,) for run in sorted(expected)]
    assert report.outcome("advanced") == RUNS - len(expected)


@pytest.mark.parametrize(("step", "options"), KINDS.values(), ids=KINDS)
def test_a_run_that_hangs_for_a_while_goes_on(
    step: Callable[..., Any], options: dict[str, Any]
) -> None:
    held_up = testing.with_fault(step, testing.hangs(seconds=0.01), when=is_struck)

    counts, left, errors = ended(held_up, **options)

    assert (counts["advanced"], left, errors) == (RUNS, [], [])


@pytest.mark.parametrize(("step", "options"), KINDS.values(), ids=KINDS)
def test_faults_can_be_nested(step: Callable[..., Any], options: dict[str, Any]) -> None:
    inner = testing.with_fault(step, testing.raises(OSError), when=numbered(3))
    outer = testing.with_fault(inner, testing.raises(KeyError), when=numbered(5))

    _, left, errors = ended(outer, **options)

    assert left == [(3,), (5,)]
    assert {(kind, count) for kind, count, _ in errors} == {("OSError", 1), ("KeyError", 1)}


def test_a_fault_of_the_first_attempt_is_over_at_the_second() -> None:
    step = testing.with_fault(row_step, testing.raises(OSError), when=lambda run: run.attempt == 1)
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.add_step(Stage.NEW, step, Stage.DONE)

    with testing.inline_engine(workflow) as engine:
        engine.trigger_many([Thing(number) for number in range(RUNS)], foreign_id="number")
        report = engine.run(wait_for_retries=True)

    assert (report.outcome("failed"), report.outcome("advanced")) == (RUNS, RUNS)


@pytest.mark.parametrize("as_column", [list, np.array], ids=["list", "array"])
def test_a_batch_step_may_answer_with_a_column(as_column: Callable[..., Any]) -> None:
    def step(batch: bf.Batch[Thing, Stage]) -> Any:
        batch["label"] = "fine"
        return as_column([Stage.DONE] * len(batch))

    faulty = testing.with_fault(step, testing.answers(17.5), when=is_struck)

    _, left, errors = ended(faulty, batch=True)

    assert left == [(number,) for number in STRUCK]
    assert {kind for kind, _, _ in errors} == {"InvalidOutcome"}


def test_memory_is_really_taken_and_released() -> None:
    taken_bytes = 64 * 1024 * 1024
    greedy = testing.with_fault(row_step, testing.eats_memory(taken_bytes), when=lambda run: True)
    tracemalloc.start()
    try:
        assert greedy(testing.make_run(Thing(1))) is Stage.DONE
        present, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert present < taken_bytes <= peak


@pytest.mark.parametrize("step", [row_step, async_step, batch_step])
def test_a_faulty_step_looks_like_the_one_within(step: Callable[..., Any]) -> None:
    faulty = testing.with_fault(step, testing.exits(), when=lambda given: False)

    assert name_of_function(faulty) == step.__name__
    assert is_async_function(faulty) == inspect.iscoroutinefunction(step)


def test_the_public_names_of_the_testing_module_are_these() -> None:
    assert testing.__all__ == sorted(testing.__all__, key=lambda name: (name[0].islower(), name))
    assert set(testing.__all__) <= set(dir(testing))
    assert all(getattr(testing, name) is not None for name in testing.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'explodes'"):
        _ = testing.explodes  # type: ignore[attr-defined]
