"""The runs that one worker call works on, as columns."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pyarrow as pa

from batchflow.chunk.search import Search

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
    None means to the end. With a ``search``, a step that is called for several runs at once is
    called for the parts that it names, one after the other, and with ``call_rows`` for parts of at
    most so many.
    """

    chunk_id: int
    workflow: str
    from_code: int
    rows: pa.Table
    run_id_base: int
    slice_seconds: float | None = None
    search: Search | None = None
    call_rows: int | None = None

    @property
    def num_rows(self) -> int:
        """Count the runs."""
        return int(self.rows.num_rows)

    def parts(self) -> list[tuple[int, int]]:
        """Return the rows of each call: the first, and the one after the last."""
        rows = self.num_rows
        if self.search is not None:
            return list(self.search.parts(rows))
        most = self.call_rows or max(1, rows)
        return [(start, min(rows, start + most)) for start in range(0, rows, most)]

    def run_id(self, row: int) -> uuid.UUID:
        """Return the id of the run at `row`."""
        return uuid.UUID(int=self.run_id_base + self.rows[SEQ][row].as_py())
