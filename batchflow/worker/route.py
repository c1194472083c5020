"""The way of a chunk's runs from step to step within one visit."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.chunk.chunk import ATTEMPT, CREATED_AT, FOREIGN_ID, SEQ, Chunk
from batchflow.chunk.result import Change, ChunkResult
from batchflow.columns.arrays import one_array
from batchflow.columns.intervals import with_durations
from batchflow.definition.field_type import FieldType
from batchflow.definition.outcome import KEEPS_CHANGES
from batchflow.definition.step import Step
from batchflow.definition.workflow import Workflow
from batchflow.worker.visited import Mask, Visited, VisitedRuns

_ENGINE_COLUMNS = (SEQ, ATTEMPT, FOREIGN_ID, CREATED_AT)


class Route:
    """Decides which step is executed next for which runs.

    Args:
        workflow: The chunk's workflow.
        chunk: The chunk, with the columns of all steps of the visit.
        stopping: Returns whether the engine is stopping.
    """

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        chunk: Chunk,
        stopping: Callable[[], bool],
    ) -> None:
        self.chunk = chunk
        self._workflow = workflow
        self._stopping = stopping
        self._began = time.monotonic()
        self._types = {field.name: field.type for field in workflow.fields}
        visit = chunk.visit
        moves = workflow.visit_moves
        self._last = moves.last
        self._onward = None
        if visit is not None and workflow.visits:
            self._onward = moves.forward | moves.back if visit.may_go_back else moves.forward.copy()
            self._onward[:, list(visit.barred)] = False

    @property
    def all_runs(self) -> VisitedRuns:
        """Return the runs of the chunk."""
        return VisitedRuns(np.arange(self.chunk.num_rows, dtype=np.int32), {})

    def next(self, visited: Visited) -> int | None:
        """Return the status whose step is executed next; None if the visit is over.

        The least advanced runs go first, so that those of different ways meet.
        """
        if visited.first is None:
            return self.chunk.from_code
        visit = self.chunk.visit
        if not visited.waiting or visit is None or self._seconds > visit.seconds:
            return None
        if self._stopping() or any(leg.from_code in self._last for leg in visited.legs):
            return None
        return min((at for at, _ in visited.waiting), key=lambda at: int(self._workflow.rank[at]))

    def may_continue(self, code: int) -> bool:
        """Return whether runs may continue after the step of a status."""
        return self._onward is not None and bool(self._onward[code].any())

    def continues(self, code: int, result: ChunkResult) -> Mask:
        """Return which runs continue after the step of a status was executed for them."""
        if self._onward is None:
            return np.zeros(result.num_rows, np.bool_)
        moves = self._onward[code].copy()
        for to in np.flatnonzero(moves).tolist():
            moves[to] = self._fits(self._workflow.steps[to], result.num_rows)
        kept = KEEPS_CHANGES[result.outcomes]
        onward: Mask = kept & moves[np.where(kept, result.to_codes, 0)]
        return onward

    def chunk_of(self, code: int, runs: VisitedRuns) -> Chunk:
        """Return the chunk that a status's step is executed for: the runs as they are now."""
        step, whole = self._workflow.steps[code], self.chunk
        names = self._columns(step)
        if code == whole.from_code and not runs.changes and len(runs) == whole.num_rows:
            return dataclasses.replace(whole, rows=whole.rows.select(names))
        rows = whole.rows.select(names)
        if len(runs) < whole.num_rows:
            rows = rows.take(pa.array(runs.rows))
        for place, name in enumerate(names):
            if name in runs.changes:
                column = _changed(rows[name], runs.changes[name], self._types[name])
                rows = rows.set_column(place, name, column)
        first_attempt = pa.array(np.ones(len(runs), np.int32))
        rows = rows.set_column(names.index(ATTEMPT), ATTEMPT, first_attempt)
        left = None if whole.slice_seconds is None else whole.slice_seconds - self._seconds
        return dataclasses.replace(
            whole, from_code=code, rows=rows, slice_seconds=left, search=None, call_rows=None
        )

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _columns(self, step: Step) -> list[str]:
        known: list[str] = self.chunk.rows.column_names
        if step.options.columns is None:
            return known
        return [name for name in known if name in _ENGINE_COLUMNS or name in step.options.columns]

    @staticmethod
    def _fits(step: Step, rows: int) -> bool:
        return step.options.chunk_rows is None or rows <= step.options.chunk_rows


def _changed(column: pa.ChunkedArray, change: Change, field_type: FieldType) -> pa.Array:
    if change.written is None:
        return change.values
    before = one_array(column)
    if before.type != change.values.type:
        # The store has intervals, and steps write durations.
        before = with_durations(before, field_type)
    return pc.if_else(pa.array(change.written), change.values, before)
