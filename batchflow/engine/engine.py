"""The engine: where a store, an executor and a coordinator are put together."""

from __future__ import annotations

import os
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from batchflow.clock import Clock, SystemClock
from batchflow.coordinator import Coordinator, Drain
from batchflow.engine.background import Background
from batchflow.engine.config import EngineConfig
from batchflow.engine.progress import Progress
from batchflow.engine.report import Report, reported
from batchflow.engine.selection import Selection
from batchflow.engine.signals import StopOnSignals
from batchflow.engine.stored_run import StoredRun, stored_run
from batchflow.engine.waiting import Waiting
from batchflow.errors import DefinitionError, EngineStateError
from batchflow.executor import InlineExecutor, ProcessPool
from batchflow.store import LoadOptions, Moved, Store

if TYPE_CHECKING:
    import enum
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from uuid import UUID

    import duckdb

    from batchflow.definition import AnyWorkflow
    from batchflow.executor import Executor
    from batchflow.store import LoadReport


class Engine:
    """Runs workflows over one store: load, run, ask, pause.

    Open it in a ``with`` block, or call ``close``. Methods may be called from any thread.

    Args:
        path: the DuckDB file that keeps the runs, made if it isn't there; ``":memory:"`` keeps
            them in this process only.
        workflows: the definitions whose runs are moved; they share the store and the workers.
        workers: processes that execute steps; 0 executes them in this one; the default is one
            for each core this process may use.
        clock: tells the time, to the store as well.
        config: settings that rarely need a change.

    Raises:
        DefinitionError: a workflow has problems; all of them are listed.
        StoreHeldError: another process has the store open.
        StoreFormatError: the file isn't a store.
        MigrationError: the store was made by a workflow that this one can't follow.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *workflows: AnyWorkflow,
        workers: int | None = None,
        clock: Clock | None = None,
        config: EngineConfig | None = None,
    ) -> None:
        self._workflows = Selection(workflows)
        self._clock = clock or SystemClock()
        self._config = config or EngineConfig()
        self._store = Store.open(
            path, workflows, clock=self._clock.now, memory_limit=self._config.memory_limit
        )
        try:
            self._executor = _executor(self._workflows.by_name, workers)
        except BaseException:
            self._store.close()
            raise
        self._coordinator = Coordinator(
            self._store, self._executor, workflows, self._clock, self._config
        )
        self._waiting = Waiting(self._store)
        self._coordinator.listeners.append(self._waiting.notify)
        self._background: Background | None = None
        self._draining = threading.Lock()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the coordinator, end the workers and close the store; a second call does nothing."""
        try:
            self.stop()
        finally:
            self._executor.close()
            self._store.close()

    @property
    def path(self) -> str:
        """The store's file."""
        return self._store.path

    # Putting runs in.

    def trigger(
        self,
        foreign_id: str,
        object: Any,
        *,
        at: enum.Enum | str | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> UUID:
        """Start a run of one record and answer its run id.

        Args:
            foreign_id: your own key of the record.
            object: an instance of the workflow's object type.
            at: the status to begin at; may be left out where there is one starting point.
            workflow: which workflow; may be left out where the object's type tells.

        Raises:
            ConflictError: an unfinished run has this foreign id.
            InvalidRowsError: a field's value doesn't fit its type.
        """
        chosen = self._workflows.of_object(object, workflow)
        placed = self._store.trigger(chosen, foreign_id, object, at, self._clock.now())
        self._coordinator.loaded(chosen.name, placed.code, placed.first_seq, placed.last_seq)
        return placed.run_id

    def trigger_many(
        self,
        source: Any,
        *,
        foreign_id: str | None = None,
        at: enum.Enum | str | None = None,
        workflow: AnyWorkflow | str | None = None,
        on_conflict: str = "skip",
        on_invalid: str = "refuse",
        strict: bool = False,
    ) -> LoadReport:
        """Start a run for each row of a source, all in one transaction.

        Args:
            source: a path or glob of Parquet, CSV or JSON files, an Arrow table or reader, a
                pandas or Polars frame, a DuckDB relation, SQL text, or an iterable of objects.
            foreign_id: the source's column with your own key of a record.
            at: the status to begin at; may be left out where there is one starting point.
            workflow: which workflow; may be left out where the engine has one.
            on_conflict: rows whose foreign id has an unfinished run, or comes twice in the source:
                ``"skip"`` leaves them out and counts them, ``"error"`` loads nothing and raises.
            on_invalid: rows that don't fit the fields' types: ``"refuse"`` loads nothing and
                raises, ``"skip"`` leaves them out and counts them.
            strict: refuse a source with columns that are no fields.

        Raises:
            SourceError: the source can't be read or lacks a column.
            InvalidRowsError, ConflictError: as said above; nothing was loaded.
        """
        chosen = self._workflows.only(workflow)
        options = LoadOptions(
            foreign_id=foreign_id,
            at=at,
            on_conflict=on_conflict,
            on_invalid=on_invalid,
            strict=strict,
        )
        report = self._store.load(chosen, source, options, self._clock.now())
        if report.loaded:
            self._coordinator.loaded(chosen.name, report.code, report.first_seq, report.last_seq)
        return report

    # Moving them.

    def run(
        self,
        *,
        wait_for_retries: bool = False,
        limit: int | None = None,
        until: datetime | None = None,
        progress: bool | None = None,
    ) -> Report:
        """Move runs until nothing is runnable now, and report what was done.

        Ctrl-C and SIGTERM let the chunks in flight finish within ``grace_seconds`` and commit them;
        a second one abandons them. Then ``KeyboardInterrupt`` or ``SystemExit`` is raised. Nothing
        is lost either way: what wasn't committed is executed again by the next run.

        Args:
            wait_for_retries: also wait for the runs that back off after a failure.
            limit: execute steps for at most this many runs (a SQL step: about this many).
            until: stop at this moment (aware).
            progress: show a bar; by default on a terminal and in a notebook.

        Raises:
            EngineStateError: a coordinator is at work already.
            StepCodeError, ResourceError: a step or resource can't be had in the workers.
        """
        drain = Drain(wait_for_retries=wait_for_retries, limit=limit, until=_aware(until))
        if not self._draining.acquire(blocking=False):
            raise EngineStateError(
                "this engine is at work already: wait for its run(), or call stop() after start()"
            )
        began = time.monotonic()
        try:
            self._coordinator.stop.clear()
            with (
                StopOnSignals(self._coordinator.stop, self._config.grace_seconds),
                Progress(self._coordinator, progress),
            ):
                tally = self._coordinator.drain(drain)
        finally:
            self._draining.release()
        return reported(self._store, self._workflows.all, tally, time.monotonic() - began)

    def start(self) -> None:
        """Move runs in the background, as they are triggered, until ``stop``.

        Raises:
            EngineStateError: a coordinator is at work already.
        """
        if not self._draining.acquire(blocking=False):
            raise EngineStateError("this engine is at work already: call stop() first")
        self._coordinator.stop.clear()
        self._waiting.forget_failure()
        self._background = Background(self._coordinator, self._waiting.notify_failure)

    def stop(self) -> None:
        """End what ``start`` began: chunks in flight finish within ``grace_seconds``.

        Does nothing where nothing was started. Raises what ended the coordinator, if something did.
        """
        background, self._background = self._background, None
        if background is None:
            return
        try:
            background.end(self._config.grace_seconds)
        finally:
            self._draining.release()

    def wait(
        self,
        run_id: UUID,
        status: enum.Enum | str,
        *,
        timeout_seconds: float | None = None,
    ) -> StoredRun[Any, Any]:
        """Wait until a run is, or has been, at a status; answer it as it is then.

        Raises:
            TimeoutError: it wasn't there in time.
            RunUnreachableError: it can't get there any more; says where it is, and why.
            RunNotFoundError: there is no such run.
        """
        workflow = self._workflow_of(run_id)
        self._waiting.wait(workflow, run_id, workflow.code_of(status), timeout_seconds)
        return self.get(run_id)

    # Holding them back.

    def pause(
        self,
        where: str | None = None,
        *,
        run_ids: Sequence[UUID] | None = None,
        reason: str = "paused by hand",
        workflow: AnyWorkflow | str | None = None,
    ) -> Moved:
        """Pause the runs that a predicate (SQL over ``runs``) or a list chooses.

        Answers how many were paused, and how many refused because of their run state.
        """
        return self._hold(self._store.pause, where, run_ids, reason, workflow)

    def resume(
        self,
        where: str | None = None,
        *,
        run_ids: Sequence[UUID] | None = None,
        reason: str = "resumed by hand",
        workflow: AnyWorkflow | str | None = None,
    ) -> Moved:
        """Let paused runs go on where they stand, as on their first attempt."""
        return self._hold(self._store.resume, where, run_ids, reason, workflow)

    def cancel(
        self,
        where: str | None = None,
        *,
        run_ids: Sequence[UUID] | None = None,
        reason: str = "cancelled by hand",
        workflow: AnyWorkflow | str | None = None,
    ) -> Moved:
        """End runs where they stand, for good."""
        return self._hold(self._store.cancel, where, run_ids, reason, workflow)

    def _hold(
        self,
        verb: Any,
        where: str | None,
        run_ids: Sequence[UUID] | None,
        reason: str,
        workflow: AnyWorkflow | str | None,
    ) -> Moved:
        chosen = self._workflows.only(workflow)
        moved: Moved = verb(
            chosen, where=where, run_ids=run_ids, reason=reason, now=self._clock.now()
        )
        self._coordinator.changed(chosen.name)
        self._waiting.notify(None)
        return moved

    # Asking.

    def sql(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Ask the store in SQL; ``params`` are bound to ``?`` or ``$name``."""
        return self._store.sql(query, params)

    def runs(
        self, where: str | None = None, *, workflow: AnyWorkflow | str | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Answer the runs that an SQL predicate over their columns chooses."""
        return self._store.runs(self._workflows.only(workflow), where)

    def counts(self, *, workflow: AnyWorkflow | str | None = None) -> duckdb.DuckDBPyRelation:
        """Answer how many runs stand at each status, in each run state."""
        return self._store.counts(self._workflows.only(workflow))

    def errors(self, *, workflow: AnyWorkflow | str | None = None) -> duckdb.DuckDBPyRelation:
        """Answer the failures by fingerprint: count, first and last seen, steps, a sample."""
        return self._store.errors(self._workflows.only(workflow))

    def history(self, run_id: UUID) -> duckdb.DuckDBPyRelation:
        """Answer the transitions of one run, in their order."""
        return self._store.history(self._workflow_of(run_id), run_id)

    def get(self, run_id: UUID) -> StoredRun[Any, Any]:
        """Answer one run as it is stored now.

        Raises:
            RunNotFoundError: there is no such run.
        """
        workflow = self._workflow_of(run_id)
        return stored_run(workflow, self._store.get(workflow, run_id))

    def _workflow_of(self, run_id: UUID) -> AnyWorkflow:
        return self._store.workflow_of(run_id)


def _executor(workflows: Mapping[str, AnyWorkflow], workers: int | None) -> Executor:
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        workers = workers or os.cpu_count() or 1
    if workers < 0:
        raise DefinitionError(
            f"workers is {workers}; give the number of processes, or 0 to execute steps in this one"
        )
    return ProcessPool(workflows, workers) if workers else InlineExecutor(workflows)


def _aware(moment: datetime | None) -> datetime | None:
    """A naive moment is meant in local time, as people say it."""
    return moment.astimezone() if moment is not None and moment.tzinfo is None else moment
