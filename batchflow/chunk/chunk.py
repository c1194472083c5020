"""The runs that a worker executes a step for in one go, as columns."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from batchflow.chunk.search import Search
from batchflow.chunk.visit import Visit

SEQ = "#seq"
ATTEMPT = "#attempt"
FOREIGN_ID = "#foreign_id"
CREATED_AT = "#created_at"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Claimed runs of one status.

    Attributes:
        rows: The engine's columns ``#seq`` (int64), ``#attempt`` (int32), ``#foreign_id`` (string)
            and ``#created_at`` (timestamp[us, UTC]), then the object's columns by field name.
        now: The time of the engine's clock at which the chunk was submitted.
        slice_seconds: How many seconds the worker may take before it returns the runs that it
            hasn't begun. None is no limit.
        search: The parts that a step for several runs at once is called for, one after the other.
            None if no run is searched for.
        call_rows: The maximum number of runs in one call of such a step. None is no limit.
        visit: How far the runs may go. None executes only the step of their status.
    """

    chunk_id: int
    workflow: str
    from_code: int
    rows: pa.Table
    run_id_base: int
    now: datetime
    slice_seconds: float | None = None
    search: Search | None = None
    call_rows: int | None = None
    visit: Visit | None = None

    @property
    def num_rows(self) -> int:
        """Return the number of runs."""
        return int(self.rows.num_rows)

    def parts(self) -> list[tuple[int, int]]:
        """Return the rows of each call as pairs: the first row, and the row after the last."""
        rows = self.num_rows
        if self.search is not None:
            return list(self.search.parts(rows))
        most = self.call_rows or max(1, rows)
        return [(start, min(rows, start + most)) for start in range(0, rows, most)]

    def run_id(self, row: int) -> uuid.UUID:
        """Return the id of the run at `row`."""
        return uuid.UUID(int=self.run_id_base + self.rows[SEQ][row].as_py())
