from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import pytest

from batchflow.definition import Step, Workflow
from batchflow.definition.visit import commits_after, commits_before, may_follow


class Status(enum.Enum):
    A = "a"
    B = "b"


@dataclass
class Thing:
    count: int


def move(run: Any) -> Status:
    return Status.B


async def wait(run: Any) -> Status:
    return Status.B


def worker_step(function: Any = move, **options: Any) -> Step:
    workflow = Workflow("things", Thing, Status)
    workflow.add_step(Status.A, function, Status.B, **options)
    workflow.check()
    return workflow.steps[0]


def sql_step(**options: Any) -> Step:
    workflow = Workflow("things", Thing, Status)
    workflow.sql_step(Status.A, to=Status.B, **options)
    workflow.check()
    return workflow.steps[0]


def test_a_step_commits_neither_before_nor_after_itself_by_default() -> None:
    for step in (worker_step(), worker_step(batch=True), sql_step()):
        assert (commits_before(step), commits_after(step)) == (False, False)


@pytest.mark.parametrize(
    "step",
    [
        worker_step(commit="after"),
        worker_step(batch=True, commit="after"),
        sql_step(commit="after"),
        worker_step(side_effects=True),
        worker_step(batch=True, side_effects=True),
        worker_step(threads=2),
        worker_step(wait),
        worker_step(wait, commit="before"),
    ],
)
def test_a_step_that_asks_for_it_or_waits_commits_after_itself(step: Step) -> None:
    assert commits_after(step)


@pytest.mark.parametrize("step", [worker_step(commit="before"), sql_step(commit="before")])
def test_a_step_may_ask_for_a_commit_before_itself(step: Step) -> None:
    assert commits_before(step)


@pytest.mark.parametrize("step", [worker_step(wait), worker_step(threads=2)])
def test_a_step_that_waits_does_not_delay_the_results_of_those_before_it(
    step: Step,
) -> None:
    assert commits_before(step)


@pytest.mark.parametrize(
    ("step", "following", "expected"),
    [
        (worker_step(), worker_step(), True),
        (worker_step(), worker_step(batch=True), True),
        (worker_step(batch=True), worker_step(), True),
        (sql_step(), sql_step(), True),
        (worker_step(), sql_step(), False),
        (sql_step(), worker_step(), False),
        (worker_step(commit="after"), worker_step(), False),
        (worker_step(commit="before"), worker_step(), True),
        (worker_step(), worker_step(commit="after"), True),
        (worker_step(), worker_step(commit="before"), False),
        (worker_step(), worker_step(wait), False),
        (worker_step(), worker_step(threads=2), False),
        (worker_step(), worker_step(timeout_seconds=60), True),
        (worker_step(), worker_step(parallel=1), False),
        (worker_step(wait), worker_step(), False),
        (sql_step(commit="after"), sql_step(), False),
        (sql_step(), sql_step(commit="before"), False),
    ],
)
def test_two_steps_share_a_visit_if_neither_needs_a_commit_in_between(
    step: Step, following: Step, expected: bool
) -> None:
    assert may_follow(step, following) is expected
