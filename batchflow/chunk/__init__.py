"""What crosses the border between the coordinator and a worker: columns, never objects."""

from __future__ import annotations

from batchflow.chunk.chunk import Chunk
from batchflow.chunk.result import Change, ChunkResult

__all__ = ["Change", "Chunk", "ChunkResult"]
