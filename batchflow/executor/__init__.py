"""Executors: the protocol, and those that batchflow brings.

Everything that an executor of your own needs is here, and imports neither DuckDB nor the engine,
so the side that runs on another machine can use it too. See docs/executors.md.
"""

from __future__ import annotations

from batchflow.chunk import Chunk, ChunkResult
from batchflow.chunk.serialization import read_chunk, read_result, write_chunk, write_result
from batchflow.executor.choice import Inline, ProcessPool, beside, chosen_executor, warm_up
from batchflow.executor.context import ExecutorContext
from batchflow.executor.protocol import (
    CallUnderWay,
    Capability,
    Executor,
    ExecutorFactory,
    LostChunk,
    ScalingExecutor,
    WatchedExecutor,
)
from batchflow.executor.ray.ray_executor import RayExecutor

__all__ = [
    "CallUnderWay",
    "Capability",
    "Chunk",
    "ChunkResult",
    "Executor",
    "ExecutorContext",
    "ExecutorFactory",
    "Inline",
    "LostChunk",
    "ProcessPool",
    "RayExecutor",
    "ScalingExecutor",
    "WatchedExecutor",
    "beside",
    "chosen_executor",
    "read_chunk",
    "read_result",
    "warm_up",
    "write_chunk",
    "write_result",
]
