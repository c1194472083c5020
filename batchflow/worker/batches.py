"""Execute a batch step; halve a batch that fails until each failure is traced to one run.

An answer, a column or a mask that doesn't have one value for each run is no run's fault, so its
batch isn't halved.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.chunk.result import ChunkResult
from batchflow.columns.size_limits import MAX_BYTES_PER_COLUMN, ColumnTooLargeError
from batchflow.columns.value_writing import WrittenColumn
from batchflow.definition.fields import Field
from batchflow.definition.outcome import Outcome
from batchflow.definition.step import Step
from batchflow.definition.workflow import Workflow
from batchflow.view.batch import Batch, WrittenField, marks_of, written_by
from batchflow.view.context import ChunkContext
from batchflow.worker.batch_answers import BatchAnswers
from batchflow.worker.control import Control
from batchflow.worker.failure import FailureRecorder, abandoned
from batchflow.worker.read_only_hint import add_read_only_hint
from batchflow.worker.result_builder import ResultBuilder
from batchflow.worker.shape_errors import is_of_the_whole
from batchflow.worker.timing import Slice
from batchflow.worker.verdict import Verdict

# The first row, the column, and the rows of it that are written (None: all).
_Part = tuple[int, WrittenColumn, npt.NDArray[np.bool_] | None]


class BatchStep:
    """A batch step, with all that stays the same for its chunks."""

    def __init__(self, workflow: Workflow[Any, Any], step: Step, log_values: bool = False) -> None:
        assert step.function is not None
        self.step = step
        self.log_values = log_values
        self.function: Callable[[Any], Any] = step.function
        self.fields = workflow.fields
        self.recorder = FailureRecorder(step.options.retry, step.function)
        self.answers = BatchAnswers(step, workflow.statuses)


class BatchSession:
    """The execution of a batch step for one chunk.

    Args:
        places: The place of each run in the chunk that the worker was given.
    """

    def __init__(
        self,
        batch_step: BatchStep,
        context: ChunkContext,
        control: Control,
        places: Sequence[int] | None = None,
    ) -> None:
        self._places = range(context.chunk.num_rows) if places is None else places
        self._batch_step = batch_step
        self._context = context
        self._control = control
        self._slice = Slice(control, context.chunk.slice_seconds)
        self._builder = ResultBuilder(batch_step.step, batch_step.recorder, batch_step.log_values)
        self._verdict = Verdict.of(context.chunk.num_rows, Outcome.RETURNED)
        self._written: dict[str, list[_Part]] = {}
        self._under_way: range | None = None

    def execute(self) -> ChunkResult:
        """Call the step for each part of the chunk, and for smaller parts where it fails."""
        waiting = self._context.chunk.parts()[::-1]
        decided = False
        while waiting and not (decided and self._slice.is_over(time.monotonic())):
            start, stop = waiting.pop()
            try:
                self._call(start, stop)
                decided = True
            except BaseException as error:
                self._control.raised(error)
                if is_of_the_whole(error, stop - start):
                    self._fail_all(error)
                    break
                add_read_only_hint(error)
                middle = (start + stop) // 2
                if middle > start:
                    waiting += [(middle, stop), (start, middle)]
                else:
                    self._fail(start, error)
                    decided = True
        return self._result()

    def _call(self, start: int, stop: int) -> None:
        """Call the step for a part of the chunk; raise what it raises, and record nothing then."""
        timeout = self._batch_step.step.options.timeout_seconds
        deadline = None if timeout is None else time.monotonic() + timeout
        batch = Batch[Any, Any](self._part(start, stop), self._batch_step.fields, deadline)
        self._control.enter(self._places[start], deadline, stop - start)
        self._under_way = range(start, stop)
        try:
            answer = self._batch_step.function(batch)
        finally:
            self._under_way = None
        verdict = self._batch_step.answers.judge(answer, marks_of(batch))
        self._keep(start, batch, verdict, written_by(batch))

    def surrendered(self) -> ChunkResult | None:
        """Return the results of the calls that have returned; the call under way failed.

        It is called by another thread than the step's. None if the call returned meanwhile.
        """
        rows = self._under_way
        if rows is None:
            return None
        verdict = dataclasses.replace(
            self._verdict,
            outcomes=self._verdict.outcomes.copy(),
            to_codes=self._verdict.to_codes.copy(),
        )
        for row in rows:
            verdict.fail(row)
        self._builder.failed(rows, abandoned(self._batch_step.step))
        chunk_id, seconds = self._context.chunk.chunk_id, self._slice.seconds
        result = self._builder.build(chunk_id, verdict, self._whole_columns(), seconds)
        return result if self._under_way is rows else None

    def _part(self, start: int, stop: int) -> ChunkContext:
        whole = self._context
        if stop - start == whole.chunk.num_rows:
            return whole
        rows = whole.chunk.rows.slice(start, stop - start)
        chunk = dataclasses.replace(whole.chunk, rows=rows)
        return ChunkContext(chunk, whole.status, whole.resources, whole.stopping)

    def _keep(
        self,
        start: int,
        batch: Batch[Any, Any],
        verdict: Verdict,
        written: list[WrittenField],
    ) -> None:
        here = slice(start, start + len(batch))
        self._verdict.outcomes[here] = verdict.outcomes
        self._verdict.to_codes[here] = verdict.to_codes
        self._verdict.reasons.update({start + at: why for at, why in verdict.reasons.items()})
        self._verdict.invalid.update({start + at: error for at, error in verdict.invalid.items()})
        for rows, error in marks_of(batch).errors():
            self._builder.failed([start + at for at in rows], error)
        for field, column, mask in written:
            self._written.setdefault(field.name, []).append((start, column, mask))

    def _fail(self, row: int, error: BaseException) -> None:
        self._builder.raised(row, error)
        self._verdict.fail(row)

    def _fail_all(self, error: BaseException) -> None:
        """Fail all runs, also the ones that smaller calls decided: a length fitted by chance."""
        rows = range(self._context.chunk.num_rows)
        self._verdict = Verdict.of(len(rows), Outcome.FAILED)
        self._written.clear()
        self._builder.failed(rows, error)

    def _result(self) -> ChunkResult:
        # No call of the step is to blame for errors from here on.
        self._control.leave()
        chunk_id = self._context.chunk.chunk_id
        seconds = self._slice.seconds
        return self._builder.build(chunk_id, self._verdict, self._whole_columns(), seconds)

    def _whole_columns(self) -> Iterator[WrittenField]:
        fields = {field.name: field for field in self._batch_step.fields}
        for name, parts in self._written.items():
            yield fields[name], *_joined(parts, self._context.chunk.num_rows, fields[name])


def _joined(
    parts: list[_Part], rows: int, field: Field
) -> tuple[WrittenColumn, np.ndarray[Any, np.dtype[np.bool_]] | None]:
    """Join the columns of a chunk's parts, with nulls where the step assigned nothing."""
    if len(parts) == 1 and len(parts[0][1].array) == rows:
        return parts[0][1], parts[0][2]
    if sum(part.array.nbytes for _, part, _ in parts) > MAX_BYTES_PER_COLUMN:
        raise ColumnTooLargeError
    mask = np.zeros(rows, dtype=np.bool_)
    pieces, problems, end = [], {}, 0
    for start, part, written in sorted(parts, key=lambda part: part[0]):
        pieces += [pa.nulls(start - end, field.type.arrow), part.array]
        end = start + len(part.array)
        mask[start:end] = True if written is None else written
        problems.update({start + at: found for at, found in part.problems.items()})
    pieces.append(pa.nulls(rows - end, field.type.arrow))
    return WrittenColumn(pa.concat_arrays(pieces), problems), mask
