"""Finding the runs that end their worker, so that the others go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Isolated:
    """The parts of a blamed chunk.

    Attributes:
        innocent: parts that go on as before.
        suspects: parts that are executed in a worker of their own.
    """

    innocent: tuple[pa.Table, ...]
    suspects: tuple[pa.Table, ...]


def isolate(rows: pa.Table, row: int | None) -> Isolated:
    """Split a chunk whose worker ended while executing it.

    Where it is known which row's call was under way, that row alone is suspect. Otherwise both
    halves are, so that k runs among n are found in about k·log2(n/k) calls.
    """
    if row is not None:
        innocent = (rows.slice(0, row), rows.slice(row + 1))
        return Isolated(tuple(part for part in innocent if part.num_rows), (rows.slice(row, 1),))
    half = (rows.num_rows + 1) // 2
    halves = (rows.slice(0, half), rows.slice(half))
    return Isolated((), tuple(part for part in halves if part.num_rows))
