"""The isolation of runs that end their worker, so that the others continue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from batchflow.chunk.search import Search
from batchflow.errors import StepTimeout

if TYPE_CHECKING:
    from batchflow.executor.protocol import LostChunk


# So many runs after one that ended an isolated worker stay isolated.
_NEIGHBOURS = 1_000


@dataclass(frozen=True)
class SuspectRows:
    """Runs for an isolated worker, and the search for those that end it."""

    rows: pa.Table
    search: Search


@dataclass(frozen=True)
class Isolated:
    """The parts of a blamed chunk; none of them is empty.

    Attributes:
        innocent: The runs that continue in shared workers.
        suspects: The runs that are executed in isolated workers.
        identified: A single run that ended an isolated worker by a call of its own, which was the
            first one there.
    """

    innocent: pa.Table | None = None
    suspects: tuple[SuspectRows, ...] = ()
    identified: pa.Table | None = None


def isolate(rows: pa.Table, lost: LostChunk, search: Search | None) -> Isolated:
    """Split a chunk whose worker ended while executing it; ``search`` if that was isolated.

    Only the runs whose call was under way can have ended it; those before them didn't. The runs
    right after them stay isolated if they are, because runs that end workers are often neighbours.
    """
    if lost.rows is None:
        return _without_call(rows, lost, search)
    first, stop = lost.rows.start, min(lost.rows.stop, rows.num_rows)
    if search is None:
        suspects = SuspectRows(rows.slice(first, stop - first), Search.among(stop - first))
        return Isolated(_without(rows, first, stop), (suspects,))
    last = min(stop + _NEIGHBOURS, rows.num_rows)
    others = _without(rows, first, last)
    if stop - first > 1:
        still = SuspectRows(rows.slice(first, last - first), search.within(first, stop))
        return Isolated(others, (still,))
    blamed, after = rows.slice(first, 1), rows.slice(stop, last - stop)
    neighbours = (SuspectRows(after, Search(0, 1)),) if after.num_rows else ()
    if _may_be_of_earlier_call(lost, first):
        return Isolated(others, (SuspectRows(blamed, Search(1, 1)), *neighbours))
    return Isolated(others, neighbours, blamed)


def _may_be_of_earlier_call(lost: LostChunk, rows_before: int) -> bool:
    """Return whether another run than the one under way may have ended the worker.

    A call may take the memory, or leave a thread that ends the process later. So the run is
    identified only if it ends another worker by itself.
    """
    return lost.error_type != StepTimeout.__name__ and (rows_before > 0 or lost.used)


def _without_call(rows: pa.Table, lost: LostChunk, search: Search | None) -> Isolated:
    """Split a chunk whose worker ended between two calls."""
    if search is None:
        return Isolated(suspects=(SuspectRows(rows, Search.among(rows.num_rows)),))
    if rows.num_rows == 1:
        if _may_be_of_earlier_call(lost, 0):
            return Isolated(suspects=(SuspectRows(rows, Search(1, 1)),))
        return Isolated(identified=rows)
    half = rows.num_rows // 2
    halves = (rows.slice(0, half), rows.slice(half))
    return Isolated(
        suspects=tuple(SuspectRows(part, Search.among(part.num_rows)) for part in halves)
    )


def _without(rows: pa.Table, first: int, stop: int) -> pa.Table | None:
    """Return the rows before and after some, if there are any."""
    others = pa.concat_tables([rows.slice(0, first), rows.slice(stop)])
    return others if others.num_rows else None
