"""Moves chunks to where steps are executed: inline, or a pool of processes."""

from __future__ import annotations

from batchflow.executor.inline import InlineExecutor
from batchflow.executor.pool import ProcessPool
from batchflow.executor.protocol import Executor, LostChunk

__all__ = ["Executor", "InlineExecutor", "LostChunk", "ProcessPool"]
