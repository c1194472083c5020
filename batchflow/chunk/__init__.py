"""The data sent between the coordinator and a worker: columns, never Python objects.

A `Chunk` has the runs of one call to a worker, and a `ChunkResult` what the step did to them.
`serialization` writes both as Arrow IPC streams. A `Search` in a chunk names the parts to call a
step for, to find a run that crashes its worker.
"""

from __future__ import annotations

from batchflow.chunk.chunk import Chunk
from batchflow.chunk.result import Change, ChunkResult

__all__ = ["Change", "Chunk", "ChunkResult"]
