"""The costs of commits: which worker executed which runs, and how long steps and commits took.

The rows are kept in memory, and written by the first commit after a second, or when a drain ends:
so a commit doesn't pay for them. A kill loses those of the last second, and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import STAGED, staged

IN_STORE: Final = "store"
"""The worker of steps that the store executes."""

_KEPT_SECONDS: Final = 1.0
_TIMESTAMP: Final = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class StepCosts:
    """The cost of one step in a commit.

    Attributes:
        runs: How many runs it was executed for.
        failed: How many of them failed.
        chunks: In how many chunks.
        step_seconds: The time in the step's code.
        queue_seconds: The time that the chunks waited, for a worker and for the commit.
        commit_seconds: The step's share of the commit, by its runs.
    """

    workflow: str
    status: str
    step: str
    runs: int
    failed: int
    chunks: int
    step_seconds: float
    queue_seconds: float
    commit_seconds: float


@dataclass(frozen=True)
class ChunkCost:
    """The place of a chunk, or of a part of it whose seqs no other chunk of its claim divides.

    Attributes:
        chunk: The id of the chunk; None for a step in the store.
        worker: The machine and the process that executed it.
        runs: How many of the runs between `first_seq` and `last_seq` it has.
        seconds: The time in the code of the chunk's first step, by its runs.
    """

    workflow: str
    status: str
    step: str
    chunk: int | None
    worker: str | None
    first_seq: int
    last_seq: int
    runs: int
    seconds: float


@dataclass(frozen=True)
class SlowRun:
    """A run that took a millisecond or longer in a step, one of the slowest of its chunk."""

    workflow: str
    status: str
    step: str
    seq: int
    seconds: float
    worker: str | None


@dataclass(frozen=True)
class CommitCosts:
    """The costs of one commit."""

    committed_at: datetime
    steps: Sequence[StepCosts]
    chunks: Sequence[ChunkCost]
    slow_runs: Sequence[SlowRun] = ()


_NAMES: Final = tuple((name, pa.string()) for name in ("workflow", "status", "step"))
_WHEN: Final = (("committed_at", _TIMESTAMP), *_NAMES)
_INTEGERS: Final = ("first_seq", "last_seq", "runs")
_SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    "commits": pa.schema(
        [
            *_WHEN,
            *((name, pa.int64()) for name in ("runs", "failed", "chunks")),
            *((f"{name}_seconds", pa.float64()) for name in ("step", "queue", "commit")),
        ]
    ),
    "chunks": pa.schema(
        [
            *_WHEN,
            ("chunk", pa.int64()),
            ("worker", pa.string()),
            *((name, pa.int64()) for name in _INTEGERS),
            ("seconds", pa.float64()),
        ]
    ),
    "slow_runs": pa.schema(
        [*_WHEN, ("seq", pa.int64()), ("seconds", pa.float64()), ("worker", pa.string())]
    ),
}


class CostLog:
    """The costs that aren't stored yet."""

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, Any]]] = {table: [] for table in _SCHEMAS}
        self._since: float | None = None

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return self._since is not None

    @property
    def due(self) -> bool:
        """Whether the next commit should store them."""
        return self._since is not None and time.monotonic() - self._since > _KEPT_SECONDS

    def add(self, costs: CommitCosts) -> None:
        """Keep the costs of a commit."""
        parts = {"commits": costs.steps, "chunks": costs.chunks, "slow_runs": costs.slow_runs}
        for table, each in parts.items():
            when = {"committed_at": costs.committed_at}
            self._rows[table] += ({**when, **vars(row)} for row in each)
        if self._since is None:
            self._since = time.monotonic()

    def insert(self, cursor: Cursor) -> None:
        """Insert them in the caller's transaction."""
        for table, rows in self._rows.items():
            if rows:
                with staged(cursor, pa.Table.from_pylist(rows, _SCHEMAS[table])):
                    cursor.execute(f"INSERT INTO batchflow.{table} FROM {STAGED}").fetchall()

    def clear(self) -> None:
        """Forget them, after their transaction was committed."""
        self._rows = {table: [] for table in _SCHEMAS}
        self._since = None
