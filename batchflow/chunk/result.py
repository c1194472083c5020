"""The result of a chunk: an outcome of each step for each run, and the columns that changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.definition.cause import Cause

FAILURE_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("traceback", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("retryable", pa.bool_(), nullable=False),
        pa.field("cause", pa.string(), nullable=False),
    ]
)
REASON_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
NO_DESTINATION = -1


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """The new values of one field, one for each run, in the field's Arrow type.

    The values of runs whose changes aren't kept are meaningless.

    Attributes:
        values: The values.
        written: Where the values are valid. None means for every run whose changes are kept; a run
            that the step didn't change has its former value.
    """

    values: pa.Array
    written: npt.NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """The result of a further step of a visit, for the runs that continued to it.

    Attributes:
        from_code: The status whose step was executed.
        rows: The places of the runs in the chunk, int32, each of them once.
        outcomes: Codes of `Outcome`, one for each of these runs.
        to_codes: As in `ChunkResult`, likewise.
        seconds: The time that the step took.
    """

    from_code: int
    rows: npt.NDArray[np.int32]
    outcomes: npt.NDArray[np.int8]
    to_codes: npt.NDArray[np.int16]
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class ChunkResult:
    """The result of a chunk's visit: of its own step for each run in order, and of further steps.

    Attributes:
        outcomes: Codes of `Outcome`, of the step of the chunk's status.
        to_codes: The next status of an advanced run, the present status of a repeated run, and -1
            for all others.
        changes: The fields that were changed, by name, with their values after the last step.
        failures: A line for each run that failed, with its place in the chunk as ``row``.
        reasons: A line for each run that was paused or cancelled, likewise.
        seconds: The time that the step of the chunk's status took.
        later: The results of the further steps of the visit, in the order of their execution.
        causes: The causes of the failures, each once.
        worker: The machine and the process that executed it, like ``web-1:4242``.
        slowest: A few runs that took a millisecond or longer: the place in the chunk, the code of
            the status whose step was called, and the seconds.
    """

    chunk_id: int
    outcomes: npt.NDArray[np.int8]
    to_codes: npt.NDArray[np.int16]
    changes: Mapping[str, Change]
    failures: pa.Table
    reasons: pa.Table
    seconds: float
    later: tuple[Leg, ...] = ()
    causes: tuple[Cause, ...] = ()
    worker: str | None = None
    slowest: tuple[tuple[int, int, float], ...] = ()

    @property
    def num_rows(self) -> int:
        """Return the number of runs."""
        return len(self.outcomes)
