"""Execute chunks; all calls of user steps start here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from batchflow.chunk.chunk import Chunk
from batchflow.chunk.result import ChunkResult
from batchflow.columns.size_limits import ColumnTooLargeError
from batchflow.definition.workflow import Workflow
from batchflow.view.carried import Carried
from batchflow.view.context import ChunkContext
from batchflow.worker.batches import BatchSession, BatchStep
from batchflow.worker.control import Control
from batchflow.worker.current_call import CurrentCall, calling
from batchflow.worker.event_loop import EventLoop
from batchflow.worker.resources import Resources
from batchflow.worker.result_builder import with_returned
from batchflow.worker.route import Route
from batchflow.worker.row_session import RowSession, RowStep
from batchflow.worker.rows import execute_one_by_one
from batchflow.worker.rows_threads import Threads, execute_in_threads
from batchflow.worker.visited import Visited, VisitedRuns
from batchflow.worker.worker_name import worker_name

# The values of more runs don't stay in the processor's caches until the next step, and creating
# them anew is faster: with 2,000 runs of each worker, a loop over lists of structs takes an eighth
# less time if they are carried, and with 6,500 it would take an eighth more.
_MOST_CARRIED_ROWS = 2_000


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Leg:
    """A step that is about to be executed for some runs of a chunk."""

    route: Route
    visited: Visited
    runs: VisitedRuns
    chunk: Chunk
    carried: Carried

    @property
    def places(self) -> Sequence[int]:
        """The place in the whole chunk of each run."""
        rows = self.runs.rows
        return range(len(rows)) if len(rows) == self.route.chunk.num_rows else rows.tolist()


class Execution:
    """Hold the state of a worker's lifetime: resources, event loop, threads, prepared steps.

    Args:
        workflows: The workflows that chunks may belong to, by name.
        control: The link with the supervisor of this worker.
        log_values: Whether errors may show values of objects.
    """

    def __init__(
        self,
        workflows: Mapping[str, Workflow[Any, Any]],
        control: Control,
        *,
        log_values: bool = False,
    ) -> None:
        self._workflows = workflows
        self._log_values = log_values
        self._control = control
        self._name = worker_name()
        self._loop = EventLoop()
        self._threads = Threads()
        self._resources = Resources(self._loop, log_values=log_values)
        self._steps: dict[tuple[str, int], RowStep | BatchStep] = {}
        self._under_way: tuple[_Leg, RowSession | BatchSession] | None = None

    def execute(self, chunk: Chunk) -> ChunkResult:
        """Call the steps of the chunk's visit for its runs, and return the results.

        An exception of a step becomes a failure of its run, never an exception of this call. If
        a step breaks what this needs, the call that was under way stays recorded as such.

        Raises:
            ResourceError: A resource of the workflow didn't open.
        """
        route = self._route(chunk)
        visited = Visited()
        carried = Carried()
        while (at := route.next(visited)) is not None:
            runs, visited = visited.take(at) if visited.first else (route.all_runs, visited)
            part = route.chunk_of(at, runs)
            try:
                result = self._execute_step(_Leg(route, visited, runs, part, carried))
                self._under_way = None
                visited = visited.after(runs, at, result, route.continues(at, result))
            except ColumnTooLargeError:
                if visited.first is None:
                    return self._execute_half(chunk)
                # The runs stay at their status, and begin a visit of their own there.
                break
        return dataclasses.replace(visited.result(), worker=self._name)

    def surrendered(self) -> ChunkResult | None:
        """Return what is done of the chunk under way, and its calls under way as failed.

        It is called by another thread than `execute`; None if no call is under way.
        """
        under_way = self._under_way
        if under_way is None:
            return None
        leg, session = under_way
        result = session.surrendered()
        if result is None:
            return None
        nowhere = np.zeros(result.num_rows, np.bool_)
        done = leg.visited.after(leg.runs, leg.chunk.from_code, result, nowhere).result()
        return dataclasses.replace(done, worker=self._name)

    def _execute_half(self, chunk: Chunk) -> ChunkResult:
        """Execute the first half of the runs anew, and return the others unstarted."""
        half = chunk.num_rows // 2
        part = dataclasses.replace(chunk, rows=chunk.rows.slice(0, half), visit=None)
        return with_returned(self.execute(part), chunk.num_rows - half)

    def _execute_step(self, leg: _Leg) -> ChunkResult:
        prepared, context = self._prepared(leg.chunk), self._context(leg.chunk)
        places = leg.places
        self._control.begin_step(leg.chunk.from_code)
        with calling(self._call(prepared, leg.route.chunk)):
            if isinstance(prepared, BatchStep):
                batches = BatchSession(prepared, context, self._control, places)
                self._under_way = leg, batches
                result = batches.execute()
                leg.carried.forget(result.changes)
                return result
            goes_on = leg.route.may_continue(leg.chunk.from_code)
            carries = goes_on and leg.chunk.num_rows <= _MOST_CARRIED_ROWS
            carried = leg.carried if carries else None
            rows = RowSession(prepared, context, self._control, places, carried)
            self._under_way = leg, rows
            return self._execute_rows(rows)

    def interrupt(self) -> bool:
        """Cancel the coroutines under way, from a signal handler; see `EventLoop.interrupt`."""
        return self._loop.interrupt()

    def close(self) -> None:
        """Close the threads, the resources and the event loop."""
        # Calls that were interrupted, and are about to return, may use the resources.
        self._threads.close()
        try:
            self._resources.close()
        finally:
            self._loop.close()

    def _context(self, chunk: Chunk) -> ChunkContext:
        workflow = self._workflows[chunk.workflow]
        resources = self._resources.of(workflow.name, workflow.resources)
        status = workflow.statuses[chunk.from_code]
        return ChunkContext(chunk, status, resources, self._control.stopping)

    def _route(self, chunk: Chunk) -> Route:
        workflow = self._workflows[chunk.workflow]
        return Route(workflow, chunk, self._control.stopping)

    def _call(self, prepared: RowStep | BatchStep, chunk: Chunk) -> CurrentCall:
        # Asynchronous and threaded steps are called for several runs at a time.
        step = prepared.step
        one_by_one = step.kind.calls_each_run and not step.is_async and step.options.threads < 2
        return CurrentCall(chunk, step.name, self._control.current_row if one_by_one else None)

    def _prepared(self, chunk: Chunk) -> RowStep | BatchStep:
        key = (chunk.workflow, chunk.from_code)
        if key not in self._steps:
            workflow = self._workflows[chunk.workflow]
            step = workflow.steps[chunk.from_code]
            make = RowStep if step.kind.calls_each_run else BatchStep
            self._steps[key] = make(workflow, step, self._log_values)
        return self._steps[key]

    def _execute_rows(self, session: RowSession) -> ChunkResult:
        step = session.row_step.step
        if step.is_async:
            from batchflow.worker.rows_async import execute_concurrently

            execute_concurrently(session, self._loop)
        elif step.options.threads > 1:
            execute_in_threads(session, self._threads)
        else:
            execute_one_by_one(session)
        # No call of the step is to blame for errors from here on.
        self._control.leave()
        return session.result()
