"""The results of chunks whose call doesn't return before the drain ends."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.chunk.result import (
    FAILURE_SCHEMA,
    NO_DESTINATION,
    REASON_SCHEMA,
    ChunkResult,
)
from batchflow.definition import Outcome
from batchflow.definition.cause import Raised, cause_of
from batchflow.errors import StepAbandoned
from batchflow.worker.worker_name import worker_name

if TYPE_CHECKING:
    from batchflow.coordinator.calls import UnfinishedCall
    from batchflow.executor.protocol import CallUnderWay

_TYPE = StepAbandoned.__name__
_MESSAGE = "The call was still under way when the time for the stop was over."


def result_of_call(call: CallUnderWay, rows: int) -> ChunkResult:
    """Return the result of a chunk whose worker doesn't answer: only its call has an outcome.

    If the call is of a further step of the visit, the results of the steps before it are lost with
    the worker, so its run fails where the visit began.
    """
    failed = [row for row in call.rows if row < rows]
    outcomes = np.full(rows, Outcome.RETURNED, np.int8)
    outcomes[failed] = Outcome.FAILED
    count = len(failed)
    cause = cause_of(Raised(_TYPE, _MESSAGE))
    failures = {
        "row": pa.array(failed, pa.int32()),
        "type": [_TYPE] * count,
        "message": [_MESSAGE] * count,
        "traceback": [""] * count,
        "fingerprint": [_TYPE] * count,
        "retryable": [True] * count,
        "cause": [cause.id] * count,
    }
    return ChunkResult(
        chunk_id=call.chunk_id,
        outcomes=outcomes,
        to_codes=np.full(rows, NO_DESTINATION, np.int16),
        changes={},
        failures=pa.table(failures, schema=FAILURE_SCHEMA),
        reasons=REASON_SCHEMA.empty_table(),
        seconds=0.0,
        causes=(cause,),
        worker=worker_name(call.worker),
    )


def with_beginning(result: ChunkResult, call: UnfinishedCall) -> ChunkResult:
    """Return the result with the time at which its abandoned calls began in their messages."""
    failures = result.failures
    worker = "" if call.worker is None else f" in process {call.worker}"
    began = f" The call of step {call.step!r} began at {call.since:%Y-%m-%d %H:%M:%S %Z}{worker}."
    messages = pc.if_else(
        pc.equal(failures["type"], _TYPE),
        pc.binary_join_element_wise(failures["message"], began, ""),
        failures["message"],
    )
    place = failures.schema.get_field_index("message")
    field = FAILURE_SCHEMA.field("message")
    return replace(result, failures=failures.set_column(place, field, messages))
