"""The runs that one worker call works on, as columns."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pyarrow as pa

SEQ = "#seq"
ATTEMPT = "#attempt"
FOREIGN_ID = "#foreign_id"
CREATED_AT = "#created_at"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Hold the claimed runs of one status.

    ``rows`` has the engine's columns ``#seq`` (int64), ``#attempt`` (int32), ``#foreign_id``
    (string) and ``#created_at`` (timestamp[us, UTC]), then object columns by field name.
    ``slice_seconds`` is how long the worker may go on before it gives back what it hasn't begun;
    None means to the end.
    """

    chunk_id: int
    workflow: str
    from_code: int
    rows: pa.Table
    run_id_base: int
    slice_seconds: float | None = None

    @property
    def num_rows(self) -> int:
        """Count the runs."""
        return int(self.rows.num_rows)

    def run_id(self, row: int) -> uuid.UUID:
        """Return the id of the run at `row`."""
        return uuid.UUID(int=self.run_id_base + self.rows[SEQ][row].as_py())
