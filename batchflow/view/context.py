"""What the runs of one chunk have in common, and what each has of the engine's columns."""

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
    """Answer what a step asks about its run, besides the object; each column is read once.

    Args:
        chunk: the chunk, or any part of it.
        status: the member that all its runs stand at.
        resources: what the worker opened.
        stopping: tells whether the engine was asked to stop.
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
        """Return the store's own number of each run."""
        return read_values(self.column(SEQ), SCALARS[int])

    @functools.cached_property
    def attempts(self) -> list[int]:
        """Return each run's attempt, from 1."""
        return read_values(self.column(ATTEMPT), SCALARS[int])

    @functools.cached_property
    def foreign_ids(self) -> list[str]:
        """Return the user's own key of each run."""
        return read_values(self.column(FOREIGN_ID), SCALARS[str])

    @functools.cached_property
    def created_at(self) -> list[datetime.datetime]:
        """Return when each run was triggered, in UTC."""
        return read_values(self.column(CREATED_AT), UTC_DATETIME)

    def column(self, name: str) -> pa.Array:
        """Return a column of the chunk as one array."""
        return one_array(self.chunk.rows[name])
