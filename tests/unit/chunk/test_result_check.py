"""A result that doesn't fit its chunk is refused, whatever a step has made of it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import batchflow as bf
from batchflow.chunk import Change, Chunk, ChunkResult, Leg, Visit
from batchflow.chunk.result import FAILURE_SCHEMA, REASON_SCHEMA
from batchflow.chunk.result_check import InvalidResultError, check_result
from batchflow.definition import Outcome


class Stage(enum.Enum):
    NEW = "new"
    DONE = "done"
    ELSEWHERE = "elsewhere"


@dataclass
class Thing:
    number: int = 0


WORKFLOW = bf.Workflow("things", Thing, Stage)
WORKFLOW.add_step(Stage.NEW, lambda run: Stage.DONE, Stage.DONE)
CHUNK = Chunk(
    chunk_id=7,
    workflow="things",
    from_code=0,
    rows=pa.table({"#seq": [1, 2]}),
    run_id_base=0,
    now=datetime(2026, 1, 1, tzinfo=UTC),
)


def failures(*rows: int) -> pa.Table:
    texts = dict.fromkeys(("message", "traceback", "fingerprint", "cause"), "")
    line = {"type": "E", "retryable": True, **texts}
    return pa.Table.from_pylist([{"row": row, **line} for row in rows], FAILURE_SCHEMA)


def reasons(*rows: int) -> pa.Table:
    return pa.Table.from_pylist([{"row": row, "reason": "why"} for row in rows], REASON_SCHEMA)


RESULT = ChunkResult(
    chunk_id=7,
    outcomes=np.array([Outcome.ADVANCED, Outcome.FAILED], np.int8),
    to_codes=np.array([1, -1], np.int16),
    changes={"number": Change(pa.array([5, None], pa.int64()), None)},
    failures=failures(1),
    reasons=reasons(),
    seconds=0.5,
)


def changed(name: str, values: Any, written: Any = None) -> dict[str, Any]:
    return {"changes": {name: Change(values, written)}}


INVALID: dict[str, Callable[[], dict[str, Any]]] = {
    "another chunk": lambda: {"chunk_id": 8},
    "no duration": lambda: {"seconds": float("nan")},
    "a text as duration": lambda: {"seconds": "1"},
    "too few outcomes": lambda: {"outcomes": RESULT.outcomes[:1]},
    "an unknown outcome": lambda: {"outcomes": np.array([0, 99], np.int8)},
    "a negative outcome": lambda: {"outcomes": np.array([0, -1], np.int8)},
    "outcomes of another type": lambda: {"outcomes": np.array([0, 3], np.int64)},
    "too many destinations": lambda: {"to_codes": np.array([1, -1, -1], np.int16)},
    "a destination that there isn't": lambda: {"to_codes": np.array([9, -1], np.int16)},
    "a destination of no step": lambda: {"to_codes": np.array([2, -1], np.int16)},
    "no destination": lambda: {"to_codes": np.array([-1, -1], np.int16)},
    "a destination of a failed run": lambda: {"to_codes": np.array([1, 1], np.int16)},
    "an unknown field": lambda: changed("nonsense", pa.array([1, 2])),
    "a field of another type": lambda: changed("number", pa.array(["a", "b"])),
    "a field that is too short": lambda: changed("number", pa.array([1])),
    "a null for a number": lambda: changed("number", pa.array([None, 1], pa.int64())),
    "a mask that is too short": lambda: changed("number", pa.array([1, 2]), np.array([True])),
    "a failure of no row": lambda: {"failures": failures(1, 2)},
    "a failure twice": lambda: {"failures": failures(1, 1)},
    "a failure of a negative row": lambda: {"failures": failures(-1, 1)},
    "a failed run without a failure": lambda: {"failures": failures(0)},
    "failures with other columns": lambda: {"failures": reasons(1)},
    "a reason of no row": lambda: {"reasons": reasons(2)},
}


def test_a_result_of_the_step_is_valid() -> None:
    check_result(RESULT, CHUNK, WORKFLOW)


@pytest.mark.parametrize("changes", INVALID.values(), ids=INVALID)
def test_any_other_result_is_refused(changes: Callable[[], dict[str, Any]]) -> None:
    with pytest.raises(InvalidResultError):
        check_result(dataclasses.replace(RESULT, **changes()), CHUNK, WORKFLOW)


def test_texts_that_are_no_utf8_are_refused() -> None:
    buffers = [None, pa.array([0, 1, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")]
    spoiled = pa.Array.from_buffers(pa.string(), 2, buffers)
    table = reasons(0, 1).set_column(1, REASON_SCHEMA.field(1), spoiled)

    with pytest.raises(pa.ArrowInvalid):
        check_result(dataclasses.replace(RESULT, reasons=table), CHUNK, WORKFLOW)


class Place(enum.Enum):
    A = 0
    B = 1
    C = 2
    END = 3


def along(run: bf.Run[Thing, Place]) -> Place:
    raise NotImplementedError


PATH = bf.Workflow("path", Thing, Place)
PATH.add_step(Place.A, along, Place.B, Place.END)
PATH.add_step(Place.B, along, Place.C)
PATH.add_step(Place.C, along, Place.END, commit="before")
VISIT = dataclasses.replace(
    CHUNK, workflow="path", rows=pa.table({"#seq": [1, 2, 3]}), visit=Visit(seconds=1.0)
)


def leg(code: int = 1, **changes: Any) -> Leg:
    """Return the result of a step at B for the first two runs, of which the second failed."""
    facts: dict[str, Any] = {
        "rows": np.array([0, 1], np.int32),
        "outcomes": np.array([Outcome.ADVANCED, Outcome.FAILED], np.int8),
        "to_codes": np.array([2, -1], np.int16),
        "seconds": 0.25,
    }
    return Leg(code, **{**facts, **changes})


VISITED = ChunkResult(
    chunk_id=7,
    outcomes=np.array([Outcome.ADVANCED] * 3, np.int8),
    to_codes=np.array([1, 1, 3], np.int16),
    changes={"number": Change(pa.array([5, 6, 7], pa.int64()), None)},
    failures=failures(1),
    reasons=reasons(),
    seconds=0.5,
    later=(leg(),),
)
AT_C = leg(
    2,
    rows=np.array([0], np.int32),
    outcomes=np.array([0], np.int8),
    to_codes=np.array([3], np.int16),
)
INVALID_LEGS: dict[str, Callable[[], tuple[Leg, ...]]] = {
    "of a status without a step": lambda: (leg(3),),
    "of a status that there isn't": lambda: (leg(9),),
    "of a status at which no run is": lambda: (leg(0),),
    "twice": lambda: (leg(), leg()),
    "of a step that only receives committed runs": lambda: (leg(), AT_C),
    "of a run that there isn't": lambda: (leg(rows=np.array([0, 3], np.int32)),),
    "of a negative run": lambda: (leg(rows=np.array([-1, 1], np.int32)),),
    "of a run twice": lambda: (leg(rows=np.array([1, 1], np.int32)),),
    "of a run that is elsewhere": lambda: (leg(rows=np.array([2, 1], np.int32)),),
    "with rows of another type": lambda: (leg(rows=np.array([0, 1], np.int64)),),
    "with too few outcomes": lambda: (leg(outcomes=np.array([3], np.int8)),),
    "with an unknown outcome": lambda: (leg(outcomes=np.array([99, 3], np.int8)),),
    "with a destination of no step": lambda: (leg(to_codes=np.array([3, -1], np.int16)),),
    "without a duration": lambda: (leg(seconds=float("inf")),),
}


def test_a_result_of_further_steps_is_valid() -> None:
    check_result(VISITED, VISIT, PATH)


@pytest.mark.parametrize("later", INVALID_LEGS.values(), ids=INVALID_LEGS)
def test_any_other_further_step_is_refused(later: Callable[[], tuple[Leg, ...]]) -> None:
    with pytest.raises(InvalidResultError):
        check_result(dataclasses.replace(VISITED, later=later()), VISIT, PATH)


def test_further_steps_of_a_chunk_without_a_visit_are_refused() -> None:
    with pytest.raises(InvalidResultError):
        check_result(VISITED, dataclasses.replace(VISIT, visit=None), PATH)


def test_a_run_that_failed_in_a_further_step_without_an_error_is_refused() -> None:
    with pytest.raises(InvalidResultError):
        check_result(dataclasses.replace(VISITED, failures=failures()), VISIT, PATH)
