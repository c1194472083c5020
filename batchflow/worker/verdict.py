"""Turn the answers of a row step into outcomes, and find the answers that aren't allowed."""

from __future__ import annotations

import contextlib
import enum
import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from batchflow.chunk.result import NO_DESTINATION
from batchflow.columns.arrays import object_array
from batchflow.columns.class_names import class_name
from batchflow.definition.outcome import Outcome
from batchflow.definition.step import Step
from batchflow.errors import InvalidOutcome
from batchflow.view.answer import Answer
from batchflow.worker.identity import Identities


class NoAnswer:
    """Mark a run without an answer: it wasn't executed, its step raised, or is still called."""

    __slots__ = ()


NOT_EXECUTED: Final = NoAnswer()
RAISED: Final = NoAnswer()
UNDER_WAY: Final = NoAnswer()


@dataclass(slots=True, eq=False)
class Verdict:
    """Hold the outcome of each run; ``invalid`` has the rows whose answer isn't allowed."""

    outcomes: npt.NDArray[np.int8]
    to_codes: npt.NDArray[np.int16]
    reasons: dict[int, str] = field(default_factory=dict)
    invalid: dict[int, InvalidOutcome] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: int, outcome: Outcome) -> Verdict:
        """Return a verdict with the same outcome for all runs, and no destination."""
        return cls(
            np.full(rows, outcome, dtype=np.int8), np.full(rows, NO_DESTINATION, dtype=np.int16)
        )

    def fail(self, row: int) -> None:
        """Change the outcome of a run to a failure."""
        self.outcomes[row] = Outcome.FAILED
        self.to_codes[row] = NO_DESTINATION
        self.reasons.pop(row, None)


def judge(answers: Sequence[Any], step: Step) -> Verdict:
    """Return the outcomes of the runs whose row step returned these answers."""
    verdict = Verdict.of(len(answers), Outcome.FAILED)
    decided = _advance(answers, step, verdict)
    # This loops over rows, but only those that didn't simply advance.
    for row in np.flatnonzero(~decided).tolist():
        _judge_one(row, answers[row], step, verdict)
    return verdict


def invalid_outcome(step: Step, answered: str) -> InvalidOutcome:
    """Return the error of a step whose answer isn't allowed."""
    allowed = ", ".join(member.name for member in step.to)
    others = "run" if step.kind.calls_each_run else "batch"
    methods = (outcome.method for outcome in Outcome if outcome.method is not None)
    ways = ", ".join(f"{others}.{method}(...)" for method in methods)
    return InvalidOutcome(
        f"Step {step.name!r} answered with {answered}; allowed are {allowed}, and {ways}."
    )


def describe_answer(answer: Any, step: Step) -> str:
    """Describe an answer: a status by its name, anything else by its type."""
    # Only the class is used, because an object's own methods may lie or raise.
    kind, status_type = type(answer), type(step.from_status)
    if kind is types.CoroutineType:
        _close(answer)
    if answer is None:
        return "None: it returned nothing"
    if kind is status_type:
        return f"{answer.name}, which isn't declared in its 'to'"
    if issubclass(kind, enum.Enum) and kind.__qualname__ == status_type.__qualname__:
        return (
            f"a member of another {status_type.__name__} than the workflow's, which was defined "
            "again; run the code that defines the workflow again, then open the engine again"
        )
    if kind is types.MethodType:
        return f"the method {answer.__func__.__name__!r} itself, which wasn't called"
    if issubclass(kind, str):
        return _describe_text(answer, status_type)
    return f"a value of type {class_name(answer)}"


def _describe_text(answer: str, status_type: type[enum.Enum]) -> str:
    # The text itself may be confidential, but the names and values of statuses aren't.
    for member in status_type:
        if str.__eq__(answer, member.name):
            return f"the name of {member.name}; give the member itself"
        if isinstance(member.value, str) and str.__eq__(answer, member.value):
            return f"the value of {member.name}; give the member itself, or in a batch its name"
    return f"a value of type {class_name(answer)}, which isn't the name of a status"


def _close(answer: types.CoroutineType[Any, Any, Any]) -> None:
    # Python warns of a coroutine that isn't awaited. This one may have been started already, and
    # then its own code decides how it ends.
    with contextlib.suppress(BaseException):
        answer.close()


def _advance(answers: Sequence[Any], step: Step, verdict: Verdict) -> npt.NDArray[np.bool_]:
    decided = np.zeros(len(answers), dtype=np.bool_)
    identities = Identities(object_array(answers))
    for member, code in zip(step.to, step.to_codes, strict=True):
        here = identities.of(member)
        np.putmask(verdict.outcomes, here, Outcome.ADVANCED)
        np.putmask(verdict.to_codes, here, code)
        decided |= here
    return decided


def _judge_one(row: int, answer: Any, step: Step, verdict: Verdict) -> None:
    if answer is NOT_EXECUTED or answer is UNDER_WAY:
        verdict.outcomes[row] = Outcome.RETURNED
    elif type(answer) is Answer:
        _take_answer(row, answer, step, verdict)
    elif answer is not RAISED:
        verdict.invalid[row] = invalid_outcome(step, describe_answer(answer, step))


def _take_answer(row: int, answer: Answer, step: Step, verdict: Verdict) -> None:
    verdict.outcomes[row] = answer.outcome
    if answer.outcome.keeps_changes:
        verdict.to_codes[row] = step.from_code
    if answer.reason is not None:
        verdict.reasons[row] = answer.reason
