"""Call a step for a run or a batch that is made for a test, and check what it leaves."""

from __future__ import annotations

import enum
from typing import Any, overload

import numpy as np

from batchflow.columns.arrays import AnyArray
from batchflow.definition import Outcome, Workflow
from batchflow.definition.step import Step
from batchflow.errors import InvalidObject
from batchflow.testing.making import require_fit
from batchflow.view import Answer, Batch, Run
from batchflow.view.batch import marks_of, written_by
from batchflow.worker.batch_answers import BatchAnswers
from batchflow.worker.verdict import judge


@overload
def call_step(workflow: Workflow[Any, Any], made: Run[Any, Any]) -> enum.Enum | Answer: ...


@overload
def call_step(workflow: Workflow[Any, Any], made: Batch[Any, Any]) -> AnyArray: ...


def call_step(
    workflow: Workflow[Any, Any], made: Run[Any, Any] | Batch[Any, Any]
) -> enum.Enum | Answer | AnyArray:
    """Call the workflow's step at the status of a made run or batch, as an engine would.

    Args:
        workflow: The workflow.
        made: The run of `make_run`, or the batch of `make_batch`, with a status.

    Returns:
        The answer of a row step. For a batch step, the status or the `Outcome` of each run.

    Raises:
        InvalidOutcome: The answer isn't declared in the step's ``to``.
        InvalidObject: A value that the step left doesn't fit its field.
        BaseException: What the step raises, or fails a run of the batch with.
    """
    workflow.check()
    code = workflow.code_of(made.status)
    step = workflow.steps.get(code)
    if step is None or step.function is None:
        raise ValueError(f"Workflow {workflow.name!r} has no function for runs at {made.status}.")
    if isinstance(made, Run):
        return _answer_for_run(workflow, step, made)
    return _answers_for_batch(workflow, step, made)


def _answer_for_run(
    workflow: Workflow[Any, Any], step: Step, run: Run[Any, Any]
) -> enum.Enum | Answer:
    assert step.function is not None
    answer: enum.Enum | Answer = step.function(run)
    for error in judge([answer], step).invalid.values():
        raise error
    require_fit(run.object, workflow)
    return answer


def _answers_for_batch(
    workflow: Workflow[Any, Any], step: Step, batch: Batch[Any, Any]
) -> AnyArray:
    assert step.function is not None
    answer = step.function(batch)
    marks = marks_of(batch)
    verdict = BatchAnswers(step, workflow.statuses).judge(answer, marks)
    errors: list[BaseException] = [error for _, error in marks.errors()]
    errors += verdict.invalid.values()
    errors += [
        InvalidObject(f"Run {row} has {found} in field {field.name!r}; it takes {field.type}.")
        for field, column, mask in written_by(batch)
        for row, found in column.problems.items()
        if (mask is None or mask[row]) and Outcome(verdict.outcomes[row]).keeps_changes
    ]
    for error in errors:
        raise error
    found = np.empty(len(batch), object)
    for row, (outcome, code) in enumerate(zip(verdict.outcomes, verdict.to_codes, strict=True)):
        advanced = outcome == Outcome.ADVANCED
        found[row] = workflow.statuses[code] if advanced else Outcome(outcome)
    return found
