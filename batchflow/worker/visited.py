"""The runs of a chunk on their visit: the steps that were executed, and where each run is now."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.chunk.result import Change, ChunkResult, Leg
from batchflow.columns.size_limits import MAX_BYTES_PER_COLUMN, ColumnTooLargeError
from batchflow.definition.cause import Cause, distinct
from batchflow.definition.outcome import KEEPS_CHANGES

Rows: TypeAlias = npt.NDArray[np.int32]
Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class VisitedRuns:
    """Some runs of a chunk, and the changes that the steps so far have made to them.

    Attributes:
        rows: The places of the runs in the chunk.
        changes: The fields that were changed, by name, with a value for each of these runs.
    """

    rows: Rows
    changes: Mapping[str, Change]

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.rows)

    def where(self, mask: Mask) -> VisitedRuns:
        """Return the runs where `mask` is true."""
        if mask.all():
            return self
        chosen = pa.array(mask)
        changes = {
            name: Change(
                change.values.filter(chosen),
                None if change.written is None else change.written[mask],
            )
            for name, change in self.changes.items()
        }
        return VisitedRuns(self.rows[mask], changes)

    def with_changes(self, changes: Mapping[str, Change]) -> VisitedRuns:
        """Return the runs with the changes of a further step."""
        both = {**self.changes}
        for name, change in changes.items():
            before = self.changes.get(name)
            both[name] = change if before is None else _latest(before, change)
        return VisitedRuns(self.rows, both)


def _latest(before: Change, change: Change) -> Change:
    """Return the values of `change` where it has one, and otherwise those before it."""
    if change.written is None or change.written.all():
        return Change(change.values, None)
    rows = len(change.written)
    places = np.where(change.written, np.arange(rows), np.arange(rows, 2 * rows))
    values = _concatenated([change.values, before.values]).take(pa.array(places))
    return Change(values, None if before.written is None else before.written | change.written)


def _concatenated(arrays: Sequence[pa.Array]) -> pa.Array:
    if sum(array.nbytes for array in arrays) > MAX_BYTES_PER_COLUMN:
        raise ColumnTooLargeError
    return pa.concat_arrays(arrays)


def joined(parts: Sequence[VisitedRuns]) -> VisitedRuns:
    """Join runs that took different ways; a field that only some ways changed gets a mask."""
    if len(parts) == 1:
        return parts[0]
    types = {name: change.values.type for part in parts for name, change in part.changes.items()}
    changes = {name: _joined_change(parts, name, kind) for name, kind in types.items()}
    return VisitedRuns(np.concatenate([part.rows for part in parts]), changes)


def _joined_change(parts: Sequence[VisitedRuns], name: str, kind: pa.DataType) -> Change:
    values, written = [], []
    for part in parts:
        change = part.changes.get(name)
        values.append(pa.nulls(len(part), kind) if change is None else change.values)
        every = np.full(len(part), change is not None)
        written.append(every if change is None or change.written is None else change.written)
    mask = np.concatenate(written)
    return Change(_concatenated(values), None if mask.all() else mask)


@dataclass(frozen=True, slots=True, eq=False)
class Visited:
    """A visit so far. It is a value, because another thread may read it while a step is called.

    Attributes:
        first: The result of the chunk's own step; None before it.
        legs: The results of the further steps.
        waiting: The runs that continue, with the code of the status at which they are.
        ended: The runs that don't.
        tables: The failures and reasons of each step, with the places of their runs in the chunk.
        causes: The causes of the failures, each once.
        slowest: The slowest runs of each step, with their places in the chunk.
    """

    first: ChunkResult | None = None
    legs: tuple[Leg, ...] = ()
    waiting: tuple[tuple[int, VisitedRuns], ...] = ()
    ended: tuple[VisitedRuns, ...] = ()
    tables: tuple[tuple[pa.Table, pa.Table], ...] = ()
    causes: tuple[Cause, ...] = ()
    slowest: tuple[tuple[int, int, float], ...] = ()

    def take(self, code: int) -> tuple[VisitedRuns, Visited]:
        """Return the runs that continue at a status, and the visit without them."""
        runs = joined([runs for at, runs in self.waiting if at == code])
        others = tuple((at, runs) for at, runs in self.waiting if at != code)
        return runs, dataclasses.replace(self, waiting=others)

    def after(self, runs: VisitedRuns, code: int, result: ChunkResult, continues: Mask) -> Visited:
        """Return the visit after a step was executed for some runs.

        Args:
            runs: The runs.
            code: The status whose step was executed.
            result: The result of the step, in their order.
            continues: Which of them continue.
        """
        kept = KEEPS_CHANGES[result.outcomes]
        moved = runs.with_changes(result.changes).where(kept)
        moved_on, codes = continues[kept], result.to_codes[kept]
        ended = (runs.where(~kept), moved.where(~moved_on))
        onward = [
            (int(to), moved.where(moved_on & (codes == to))) for to in np.unique(codes[moved_on])
        ]
        return Visited(
            first=self.first or result,
            legs=self.legs if self.first is None else (*self.legs, _leg(code, runs, result)),
            waiting=(*self.waiting, *onward),
            ended=(*self.ended, *(part for part in ended if len(part))),
            tables=(*self.tables, (_placed(result.failures, runs), _placed(result.reasons, runs))),
            causes=distinct((*self.causes, *result.causes)),
            slowest=(
                *self.slowest,
                *((int(runs.rows[row]), at, seconds) for row, at, seconds in result.slowest),
            ),
        )

    def result(self) -> ChunkResult:
        """Return the result of the chunk: of its own step, and of the further ones."""
        assert self.first is not None
        if not self.legs:
            return self.first
        whole = joined([*self.ended, *(runs for _, runs in self.waiting)])
        return dataclasses.replace(
            self.first,
            changes=_in_order(whole, self.first.num_rows),
            failures=pa.concat_tables([failures for failures, _ in self.tables]),
            reasons=pa.concat_tables([reasons for _, reasons in self.tables]),
            later=self.legs,
            causes=self.causes,
            slowest=self.slowest,
        )


def _leg(code: int, runs: VisitedRuns, result: ChunkResult) -> Leg:
    return Leg(code, runs.rows, result.outcomes, result.to_codes, result.seconds)


def _placed(table: pa.Table, runs: VisitedRuns) -> pa.Table:
    """Return the table with places in the chunk instead of places among the runs."""
    if not table.num_rows:
        return table
    places = pa.array(runs.rows[table["row"].to_numpy()], pa.int32())
    return table.set_column(0, table.schema.field("row"), places)


def _in_order(runs: VisitedRuns, num_rows: int) -> Mapping[str, Change]:
    """Return the changes in the order of the chunk, which has these runs."""
    if np.array_equal(runs.rows, np.arange(num_rows)):
        return runs.changes
    order = pa.array(np.argsort(runs.rows, kind="stable"))
    return {
        name: Change(
            change.values.take(order),
            None if change.written is None else change.written[order.to_numpy()],
        )
        for name, change in runs.changes.items()
    }
