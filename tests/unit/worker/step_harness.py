"""Objects, chunks and results for the tests of steps."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from batchflow.chunk import Chunk, ChunkResult
from batchflow.columns.value_writing import write_values
from batchflow.definition import Outcome, fields_of

RUN_ID_BASE = 2**100
NOW = datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)


class Status(enum.Enum):
    NEW = "new"
    DONE = "done"
    BAD = "bad"
    ELSEWHERE = "elsewhere"


@dataclass
class Item:
    name: str
    count: int = 0
    price: float | None = None
    tags: list[str] = field(default_factory=list)


def items(count: int) -> list[Item]:
    return [Item(f"n{row}", row) for row in range(count)]


def make_chunk(objects: Sequence[Any], object_type: type, **facts: Any) -> Chunk:
    rows = len(objects)
    created = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    columns = {
        "#seq": pa.array(np.arange(rows, dtype=np.int64)),
        "#attempt": pa.array(np.full(rows, 2, dtype=np.int32)),
        "#foreign_id": pa.array([f"f{row}" for row in range(rows)], pa.string()),
        "#created_at": pa.array([created] * rows, pa.timestamp("us", "UTC")),
    }
    for one in fields_of(object_type):
        columns[one.name] = write_values([getattr(o, one.name) for o in objects], one.type).array
    chunk = {"chunk_id": 1, "workflow": "things", "from_code": 0, "run_id_base": RUN_ID_BASE}
    chunk |= {"now": NOW}
    return Chunk(**{**chunk, "rows": pa.table(columns), **facts})


@dataclass
class Done:
    """A result, easy to look at."""

    result: ChunkResult

    @property
    def outcomes(self) -> list[str]:
        return [Outcome(code).name for code in self.result.outcomes.tolist()]

    @property
    def to(self) -> list[str | None]:
        members = list(Status)
        return [members[code].name if code >= 0 else None for code in self.result.to_codes]

    def change(self, name: str) -> list[Any]:
        """Return the new values where they count, and "-" elsewhere."""
        change = self.result.changes[name]
        keeps = [Outcome(code).keeps_changes for code in self.result.outcomes.tolist()]
        written = keeps if change.written is None else change.written.tolist()
        values = zip(change.values.to_pylist(), written, keeps, strict=True)
        return [value if there and kept else "-" for value, there, kept in values]

    @property
    def failures(self) -> dict[int, tuple[str, str]]:
        rows = self.result.failures.to_pylist()
        return {row["row"]: (row["type"], row["message"]) for row in rows}

    @property
    def reasons(self) -> dict[int, str]:
        return {row["row"]: row["reason"] for row in self.result.reasons.to_pylist()}


class Execute(Protocol):
    def __call__(
        self,
        function: Callable[..., Any],
        objects: Sequence[Any],
        *,
        batch: bool = ...,
        control: Any = ...,
        facts: dict[str, Any] | None = ...,
        resources: dict[str, Any] | None = ...,
        **options: Any,
    ) -> Done: ...
