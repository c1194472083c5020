"""Runs for tests of single steps."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pyarrow as pa

from batchflow.chunk import Chunk
from batchflow.chunk.chunk import ATTEMPT, CREATED_AT, FOREIGN_ID, SEQ
from batchflow.view import Run
from batchflow.view.context import ChunkContext

if TYPE_CHECKING:
    from collections.abc import Mapping

ObjectT = TypeVar("ObjectT")

_RUN_ID = 0x00000000_0000_8000_8000_000000000000
_CREATED_AT = datetime(2000, 1, 1, tzinfo=UTC)


def make_run(
    object: ObjectT,
    *,
    status: enum.Enum | None = None,
    foreign_id: str = "test",
    attempt: int = 1,
    created_at: datetime = _CREATED_AT,
    stopping: bool = False,
    resources: Mapping[str, Any] | None = None,
) -> Run[ObjectT, Any]:
    """Return a run with an object, to call a row step in a test.

    The step changes ``object`` and returns its answer.
    """
    rows = pa.table(
        {
            SEQ: pa.array([0]),
            ATTEMPT: pa.array([attempt], pa.int32()),
            FOREIGN_ID: pa.array([foreign_id]),
            CREATED_AT: pa.array([created_at], pa.timestamp("us", "UTC")),
        }
    )
    chunk = Chunk(
        chunk_id=0, workflow="", from_code=0, rows=rows, run_id_base=_RUN_ID, slice_seconds=None
    )
    context = ChunkContext(chunk, cast(enum.Enum, status), dict(resources or {}), lambda: stopping)
    return Run(object, context, 0)
