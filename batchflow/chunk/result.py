"""What became of a chunk's runs: one outcome each, and only the columns that changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

FAILURE_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("traceback", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("retryable", pa.bool_(), nullable=False),
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
    """Hold the new values of one field, one a run, in the field's own Arrow type.

    Where ``written`` is None the value is right for every run that is kept (those that the step
    left alone carry what they had); otherwise only where it is true. At runs whose changes are
    dropped the values mean nothing.
    """

    values: pa.Array
    written: npt.NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True, eq=False)
class ChunkResult:
    """Hold what a step did to each run of a chunk, in the chunk's order.

    ``outcomes`` are codes of `Outcome`; ``to_codes`` the status that an advanced run goes to, the
    present one of a repeated run, and -1 for the others. ``failures`` and ``reasons`` have a line
    for each run that failed, and for each that was paused or cancelled, found by ``row``.
    ``seconds`` is the time that the step took.
    """

    chunk_id: int
    outcomes: npt.NDArray[np.int8]
    to_codes: npt.NDArray[np.int16]
    changes: Mapping[str, Change]
    failures: pa.Table
    reasons: pa.Table
    seconds: float

    @property
    def num_rows(self) -> int:
        """Count the runs."""
        return len(self.outcomes)
