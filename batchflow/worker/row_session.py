"""Execute the runs of a row step; shared by sequential, async and threaded steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from batchflow.chunk.result import ChunkResult
from batchflow.columns.own_attributes import require_only_fields
from batchflow.definition.built_whole import is_built_whole
from batchflow.definition.redefined import RUN_AGAIN, is_redefined
from batchflow.definition.step import Step
from batchflow.definition.workflow import Workflow
from batchflow.errors import InvalidObject
from batchflow.view.carried import Carried
from batchflow.view.context import ChunkContext
from batchflow.view.object_view import COLUMNS, ROW, attributes_of, view_type
from batchflow.view.row_columns import RowColumns, SealedColumns
from batchflow.view.run import Run
from batchflow.worker.attribute_hints import AttributeHints
from batchflow.worker.control import Control
from batchflow.worker.failure import FailureRecorder, abandoned
from batchflow.worker.result_builder import ResultBuilder, without_other_failures
from batchflow.worker.slowest_runs import SlowestRuns
from batchflow.worker.timing import Slice
from batchflow.worker.verdict import NOT_EXECUTED, RAISED, UNDER_WAY, judge


class RowStep:
    """A row step, with all that stays the same for its chunks."""

    def __init__(self, workflow: Workflow[Any, Any], step: Step, log_values: bool = False) -> None:
        assert step.function is not None
        self.step = step
        self.log_values = log_values
        self.function: Callable[[Any], Any] = step.function
        self.fields = workflow.fields
        self.object_type = workflow.object_type
        self.recorder = FailureRecorder(step.options.retry, step.function)
        whole = is_built_whole(workflow.object_type)
        self.view_type = None if whole else view_type(workflow.object_type, workflow.fields)
        self.attributes_of: Any = None if whole else attributes_of(workflow.object_type)
        self.field_names = frozenset(field.name for field in workflow.fields)
        self.hints = AttributeHints(workflow.object_type, workflow.fields)


class RowSession:
    """The execution of a row step for one chunk.

    Attributes:
        places: The place of each run in the chunk that the worker was given.
        slowest: The slowest runs.
    """

    def __init__(
        self,
        row_step: RowStep,
        context: ChunkContext,
        control: Control,
        places: Sequence[int] | None = None,
        carried: Carried | None = None,
    ) -> None:
        chunk = context.chunk
        self.places = range(chunk.num_rows) if places is None else places
        self.row_step = row_step
        self.context = context
        self.control = control
        self.slice = Slice(control, chunk.slice_seconds)
        self.columns = RowColumns(chunk.rows, row_step.fields, self.places, carried)
        self.sealed = SealedColumns(self.columns)
        self.answers: list[Any] = [NOT_EXECUTED] * chunk.num_rows
        self._builder = ResultBuilder(row_step.step, row_step.recorder, row_step.log_values)
        self.slowest = SlowestRuns(chunk.from_code)

    @property
    def num_rows(self) -> int:
        """The number of runs."""
        return len(self.answers)

    def parts(self) -> Iterator[range]:
        """Yield ranges of rows that may be called at the same time, until the slice is over."""
        for start, stop in self.context.chunk.parts():
            yield range(start, stop)
            if self.slice.is_over(time.monotonic()):
                break

    def deadline(self) -> float | None:
        """Return the deadline of a call that begins now, on the monotonic clock; None: no limit."""
        timeout = self.row_step.step.options.timeout_seconds
        return None if timeout is None else time.monotonic() + timeout

    def execute(self, row: int, deadline: float | None) -> None:
        """Call the step for the run at `row`; record its answer and changes, or its exception."""
        given: Any = None
        began = time.monotonic()
        try:
            run = self.begin(row, deadline)
            given = run.object
            self.end(row, given, run, self.row_step.function(run))
        except BaseException as error:
            self.fail(row, given, error)
        self.slowest.took(row, time.monotonic() - began)

    def begin(self, row: int, deadline: float | None) -> Run[Any, Any]:
        """Return the run at `row`, for the step; raise what the object's class raises."""
        self.answers[row] = UNDER_WAY
        return Run(self._object(row), self.context, row, deadline)

    def end(self, row: int, given: Any, run: Run[Any, Any], answer: Any) -> None:
        """Record the step's answer and changes; raise what reading them raises."""
        self.settle(row, given, run.object)
        self.answers[row] = answer

    def fail(self, row: int, given: Any, error: BaseException) -> None:
        """Record that the step raised `error`."""
        self.control.raised(error)
        self.row_step.hints.add_to(error)
        self._builder.raised(row, error)
        self.answers[row] = RAISED
        self.columns.touched.pop(row, None)
        self._seal(given)

    def settle(self, row: int, given: Any, left: Any) -> None:
        """Record what the step left on the run, beyond its assignments to fields of `given`."""
        is_view = left is given and self.row_step.view_type is not None
        if not is_view or self.columns.settle(row):
            self.take_over(row, given, left)
        else:
            self._seal(given)

    def take_over(self, row: int, given: Any, left: Any) -> None:
        """Record all fields of `left`, a plain object that the step left instead of a view."""
        self._require_object(row, left)
        self.columns.take_over(row, left)
        self._seal(given)

    def result(self) -> ChunkResult:
        """Return the results of the chunk."""
        verdict = judge(self.answers, self.row_step.step)
        seconds = self.slice.seconds
        chunk_id = self.context.chunk.chunk_id
        written, slowest = self.columns.written(), self.slowest.found()
        return self._builder.build(chunk_id, verdict, written, seconds, slowest)

    def surrendered(self) -> ChunkResult | None:
        """Return the results of the calls that have returned; the calls under way failed.

        It is called by another thread than the step's. None if a call returned meanwhile.
        """
        answers = list(self.answers)
        under_way = self._under_way(answers)
        verdict = judge(answers, self.row_step.step)
        for row in under_way:
            verdict.fail(row)
        self._builder.failed(under_way, abandoned(self.row_step.step))
        chunk_id, seconds = self.context.chunk.chunk_id, self.slice.seconds
        result = self._builder.build(chunk_id, verdict, self.columns.written(), seconds)
        if any(self.answers[row] is not answers[row] for row in under_way):
            return None
        return without_other_failures(result)

    def _under_way(self, answers: list[Any]) -> list[int]:
        step = self.row_step.step
        if step.is_async or step.options.threads > 1:
            return [row for row, answer in enumerate(answers) if answer is UNDER_WAY]
        place = self.control.current_row[0]
        if place < 0:
            return []
        row = self.places.index(place)
        return [row] if answers[row] in (NOT_EXECUTED, UNDER_WAY) else []

    def _require_object(self, row: int, left: Any) -> None:
        object_type = self.row_step.object_type
        if not isinstance(left, object_type):
            again = f", which was defined again; {RUN_AGAIN}"
            raise InvalidObject(
                f"Step {self.row_step.step.name!r} left an object of type {type(left).__name__}; "
                f"it must be an instance of {object_type.__name__}"
                f"{again if is_redefined(type(left), object_type) else ''}."
            )
        self._require_only_fields(row, left)

    def _require_only_fields(self, row: int, left: Any) -> None:
        names = self.row_step.field_names
        # An object has at most as many attributes as fields, unless it has others.
        if len(getattr(left, "__dict__", ())) > len(names):
            like = None if self.row_step.view_type else self._whole_object(row)
            require_only_fields(left, names, like)

    def _object(self, row: int) -> Any:
        made = self.row_step.view_type
        if made is None:
            return self._whole_object(row)
        view = object.__new__(made)
        attributes = self.row_step.attributes_of(view)
        attributes[ROW], attributes[COLUMNS] = row, self.columns
        return view

    def _whole_object(self, row: int) -> Any:
        fields = self.row_step.fields
        values = self.columns.values
        known = {field.name: values[place][row] for place, field in enumerate(fields)}
        return self.row_step.object_type(**known)

    def _seal(self, given: Any) -> None:
        if type(given) is self.row_step.view_type:
            self.row_step.attributes_of(given)[COLUMNS] = self.sealed
