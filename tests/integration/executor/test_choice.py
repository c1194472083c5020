"""`Engine(workers=...)` and `Engine(executor=...)` name what executes the steps."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest

import batchflow as bf
from kit.things import Stage


@dataclass
class Visit:
    pid: int = 0


def visits(**options: Any) -> bf.Workflow[Visit, Stage]:
    workflow = bf.Workflow("visits", Visit, Stage)

    @workflow.step(Stage.NEW, to=Stage.DONE, **options)
    def visit(run: bf.Run[Visit, Stage]) -> Stage:
        run.object.pid = os.getpid()
        return Stage.DONE

    return workflow


def process_of_a_step(**choice: Any) -> int:
    with bf.Engine(":memory:", visits(), **choice) as engine:
        run_id = engine.trigger("one", Visit())
        engine.run()
        return int(engine.get(run_id).object.pid)


@pytest.mark.parametrize("choice", [{"workers": 0}, {"executor": bf.Inline()}], ids=str)
def test_inline_steps_are_executed_in_this_process(choice: dict[str, Any]) -> None:
    assert process_of_a_step(**choice) == os.getpid()


@pytest.mark.parametrize("choice", [{"workers": 1}, {"executor": bf.ProcessPool(1)}], ids=str)
def test_a_process_pool_executes_steps_in_other_processes(choice: dict[str, Any]) -> None:
    assert process_of_a_step(**choice) != os.getpid()


def test_the_default_is_a_process_for_each_usable_core() -> None:
    context = bf.ExecutorContext(workflows={"visits": visits()})
    executor = bf.ProcessPool().open(context)
    try:
        assert executor.workers == len(os.sched_getaffinity(0))
    finally:
        executor.close()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {"workers": 2, "executor": bf.Inline()},
            r"^Both workers=2 and executor=Inline\(\) are given; give one of them\. ",
        ),
        ({"workers": -1}, r"^workers is -1; give the number of processes, or 0 "),
        ({"workers": True}, r"^workers is True; give the number of processes, or 0 "),
        ({"executor": 2}, r"^executor is 2, which has no open\(context\) method; give "),
        ({"executor": bf.Inline}, r"^executor is <class .*>, which has no open\(context\) method"),
    ],
    ids=str,
)
def test_a_choice_that_is_not_valid_is_rejected(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(bf.InvalidOptionError, match=message):
        bf.Engine(":memory:", visits(), **choice)


@pytest.mark.parametrize("workers", [0, -1, 1.0, True])
def test_a_process_pool_has_at_least_one_worker(workers: Any) -> None:
    with pytest.raises(bf.InvalidOptionError, match=r"^ProcessPool's workers is .*Inline\(\)"):
        bf.ProcessPool(workers)


def test_a_context_crosses_to_another_machine_as_bytes() -> None:
    workflow = visits(timeout_seconds=2.5)
    sent = bf.ExecutorContext(
        workflows={"visits": workflow}, log_values=True, worker_memory_limit="2GB"
    )

    received = bf.ExecutorContext.from_bytes(sent.to_bytes())

    assert received.workflows["visits"].status_names == workflow.status_names
    assert received.log_values
    assert received.worker_memory_bytes(7) == 2_000_000_000


def test_a_context_that_can_not_be_sent_names_the_step() -> None:
    workflow = bf.Workflow("visits", Visit, Stage)
    rows = (number for number in range(3))
    workflow.add_step(Stage.NEW, lambda run: rows and Stage.DONE, Stage.DONE)

    with pytest.raises(bf.StepCodeError, match=r"step '<lambda>' of workflow 'visits' can't be"):
        bf.ExecutorContext(workflows={"visits": workflow}).to_bytes()
