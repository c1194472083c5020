"""The properties that a chunk's runs share, and the engine's columns of each run."""

from __future__ import annotations

import datetime
import enum
import functools
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from batchflow.chunk.chunk import ATTEMPT, CREATED_AT, FOREIGN_ID, SEQ, Chunk
from batchflow.columns.arrays import one_array
from batchflow.columns.value_reading import read_values
from batchflow.definition.field_type import SCALARS, UTC_DATETIME


def _never() -> bool:
    return False


class ChunkContext:
    """Everything that a step can read of its run, besides the object; each column is read once.

    Args:
        chunk: The chunk, or any part of it.
        status: The status of all its runs.
        resources: The resources that the worker opened.
        stopping: Returns whether the engine is stopping.
    """

    def __init__(
        self,
        chunk: Chunk,
        status: enum.Enum,
        resources: Mapping[str, Any],
        stopping: Callable[[], bool] = _never,
    ) -> None:
        self.chunk = chunk
        self.status = status
        self.resources = resources
        self.stopping = stopping

    def run_id(self, row: int) -> uuid.UUID:
        """Return the id of the run at `row`."""
        return uuid.UUID(int=self.chunk.run_id_base + self.seqs[row])

    @functools.cached_property
    def seqs(self) -> list[int]:
        """Return the store's sequence number of each run."""
        return read_values(self.column(SEQ), SCALARS[int])

    @functools.cached_property
    def attempts(self) -> list[int]:
        """Return each run's attempt, from 1."""
        return read_values(self.column(ATTEMPT), SCALARS[int])

    @functools.cached_property
    def foreign_ids(self) -> list[str]:
        """Return the user's key of each run."""
        return read_values(self.column(FOREIGN_ID), SCALARS[str])

    @functools.cached_property
    def created_at(self) -> list[datetime.datetime]:
        """Return the time at which each run was triggered, in UTC."""
        return read_values(self.column(CREATED_AT), UTC_DATETIME)

    def column(self, name: str) -> pa.Array:
        """Return a column of the chunk as one array."""
        return one_array(self.chunk.rows[name])
