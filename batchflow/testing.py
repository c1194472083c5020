"""What users need to test their steps: a run by itself, a clock that jumps, an inline engine."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pyarrow as pa

from batchflow.chunk import Chunk, Run
from batchflow.chunk.chunk import ATTEMPT, CREATED_AT, FOREIGN_ID, SEQ
from batchflow.chunk.context import ChunkContext
from batchflow.engine import Engine, EngineConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchflow.definition import AnyWorkflow

ObjectT = TypeVar("ObjectT")

_RUN_ID = 0x00000000_0000_8000_8000_000000000000
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def make_run(
    object: ObjectT,
    *,
    status: enum.Enum | None = None,
    foreign_id: str = "test",
    attempt: int = 1,
    created_at: datetime = _EPOCH,
    stopping: bool = False,
    resources: Mapping[str, Any] | None = None,
) -> Run[ObjectT, Any]:
    """Make a run around an object, to call a row step by itself.

    The step's changes are seen on ``object``; its answer is what it returns.
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


class FakeClock:
    """A clock that stands still until it is moved, and that jumps where others would sleep."""

    def __init__(self, now: datetime = _EPOCH) -> None:
        self._now = now

    def now(self) -> datetime:
        """Answer the present moment, aware, in UTC."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let this much time pass at once."""
        self._now += timedelta(seconds=seconds)

    def seconds_until(self, moment: datetime) -> float:
        """Jump to ``moment``, and answer that there is nothing to sleep for."""
        self._now = max(self._now, moment)
        return 0.0


def inline_engine(
    *workflows: AnyWorkflow,
    path: str = ":memory:",
    clock: FakeClock | None = None,
    seed: int = 0,
) -> Engine:
    """Open an engine without processes, by default in memory, whose clock stands still.

    ``run(wait_for_retries=True)`` gets through hours of backoff at once.
    """
    return Engine(
        path,
        *workflows,
        workers=0,
        clock=clock or FakeClock(),
        config=EngineConfig(seed=seed),
    )
