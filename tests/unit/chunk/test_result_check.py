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
from batchflow.chunk import Change, Chunk, ChunkResult
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
    line = {"type": "E", "message": "", "traceback": "", "fingerprint": "", "retryable": True}
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
