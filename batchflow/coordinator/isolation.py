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
        otherwise: a part that is to blame if the only suspect isn't.
    """

    innocent: tuple[pa.Table, ...] = ()
    suspects: tuple[pa.Table, ...] = ()
    otherwise: pa.Table | None = None


def isolate(rows: pa.Table, row: int | None, *, suspect: bool) -> Isolated:
    """Split a chunk whose worker ended while executing it.

    Where it is known which row's call was under way, that row alone is to blame; the others stay
    ``suspect`` if they were. Otherwise one half is tried, and the other by itself only if that one
    is to blame: so k runs among n are found in about k·log2(n/k) calls.
    """
    if row is None:
        return halved(rows)
    others = _not_empty(rows.slice(0, row), rows.slice(row + 1))
    blamed = rows.slice(row, 1)
    return Isolated((), (blamed, *others)) if suspect else Isolated(others, (blamed,))


def halved(rows: pa.Table) -> Isolated:
    """Split runs of which at least one is to blame."""
    if rows.num_rows == 1:
        return Isolated(suspects=(rows,))
    half = (rows.num_rows + 1) // 2
    return Isolated(suspects=(rows.slice(0, half),), otherwise=rows.slice(half))


def _not_empty(*parts: pa.Table) -> tuple[pa.Table, ...]:
    return tuple(part for part in parts if part.num_rows)
