"""What crosses the border between the coordinator and a worker: columns, never objects."""

from __future__ import annotations

from batchflow.chunk.batch import Batch
from batchflow.chunk.chunk import Chunk
from batchflow.chunk.result import Change, ChunkResult
from batchflow.chunk.run import Run

__all__ = ["Batch", "Change", "Chunk", "ChunkResult", "Run"]
