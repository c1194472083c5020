"""The data sent between the coordinator and a worker: columns, never Python objects.

A `Chunk` has the runs of one trip to a worker, and a `Visit` says how far they may go there. A
`ChunkResult` has what the steps did to them, with a `Leg` for each step after the first.
`serialization` writes both as Arrow IPC streams. A `Search` in a chunk names the parts to call a
step for, to find a run that crashes its worker.
"""

from __future__ import annotations

from batchflow.chunk.chunk import Chunk
from batchflow.chunk.result import Change, ChunkResult, Leg
from batchflow.chunk.visit import Visit

__all__ = ["Change", "Chunk", "ChunkResult", "Leg", "Visit"]
