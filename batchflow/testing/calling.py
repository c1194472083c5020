"""Call a step for a run or a batch that is made for a test, and check what it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
from typing import Any, cast, overload

import numpy as np

from batchflow.columns.arrays import AnyArray
from batchflow.columns.nested import same
from batchflow.columns.value_writing import describe
from batchflow.definition import Outcome, Workflow
from batchflow.definition.step import Step
from batchflow.errors import InvalidObject
from batchflow.testing.making import read_columns, require_fit
from batchflow.view import Answer, Batch, Run
from batchflow.view.batch import marks_of, written_by
from batchflow.view.context import ChunkContext
from batchflow.view.run import context_of
from batchflow.worker.batch_answers import BatchAnswers
from batchflow.worker.control import NullControl
from batchflow.worker.read_only_hint import add_read_only_hint
from batchflow.worker.row_session import RowSession, RowStep
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
        TypeError: The step takes batches, and this is a run, or the reverse.
        BaseException: What the step raises, or fails a run of the batch with.
    """
    if not isinstance(workflow, Workflow):
        raise TypeError(f"call_step takes the workflow of the step, not {describe(workflow)}.")
    if not isinstance(made, Run | Batch):
        raise TypeError(f"call_step takes a run or a batch that was made, not {describe(made)}.")
    workflow.check()
    step = _step_for(workflow, made)
    if isinstance(made, Run):
        return _answer_for_run(workflow, step, made)
    return _answers_for_batch(workflow, step, made)


def _step_for(workflow: Workflow[Any, Any], made: Run[Any, Any] | Batch[Any, Any]) -> Step:
    step = workflow.steps.get(workflow.code_of(made.status))
    if step is None or step.function is None:
        raise ValueError(f"Workflow {workflow.name!r} has no function for runs at {made.status}.")
    if step.kind.calls_each_run and isinstance(made, Batch):
        raise TypeError(f"Step {step.name!r} takes single runs. Make one with make_run.")
    if not step.kind.calls_each_run and isinstance(made, Run):
        raise TypeError(f"Step {step.name!r} takes batches. Make one with make_batch.")
    return step


def _answer_for_run(
    workflow: Workflow[Any, Any], step: Step, made: Run[Any, Any]
) -> enum.Enum | Answer:
    require_fit(made.object, workflow)
    row_step = RowStep(workflow, step)
    session = RowSession(row_step, _context_with_object(workflow, step, made), NullControl())
    run = session.begin(0, None)
    if row_step.view_type is None:
        run.object = made.object
    given = run.object
    try:
        answer: Any = row_step.function(run)
        if step.is_async:
            answer = asyncio.run(answer)
        session.end(0, given, run, answer)
    except BaseException as error:
        row_step.hints.add_to(error)
        raise
    finally:
        _bring_back(workflow, run, given, made)
    for invalid in judge([answer], step).invalid.values():
        raise invalid
    for failure in session.result().failures.to_pylist():
        raise InvalidObject(failure["message"])
    return cast("enum.Enum | Answer", answer)


def _context_with_object(
    workflow: Workflow[Any, Any], step: Step, made: Run[Any, Any]
) -> ChunkContext:
    """Return the context of the run, with the fields that the step reads as columns."""
    context = context_of(made)
    rows = context.chunk.rows
    for name, column in read_columns([made.object], workflow.fields, step).items():
        rows = rows.append_column(name, column)
    chunk = dataclasses.replace(context.chunk, rows=rows)
    return ChunkContext(chunk, context.status, context.resources, context.stopping)


def _bring_back(
    workflow: Workflow[Any, Any], run: Run[Any, Any], given: Any, made: Run[Any, Any]
) -> None:
    """Put what the step changed into the object of the made run."""
    if run.object is not given:
        made.object = run.object
        return
    if given is made.object:
        return
    for field in workflow.fields:
        # The step can't have changed a field that it doesn't read, unless it assigned one.
        with contextlib.suppress(LookupError, AttributeError):
            left = getattr(given, field.name)
            if not same(left, getattr(made.object, field.name), field.type):
                setattr(made.object, field.name, left)


def _answers_for_batch(
    workflow: Workflow[Any, Any], step: Step, batch: Batch[Any, Any]
) -> AnyArray:
    assert step.function is not None
    try:
        answer = step.function(batch)
    except ValueError as raised:
        add_read_only_hint(raised)
        raise
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
