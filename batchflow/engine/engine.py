"""The engine: where a store, an executor and a coordinator are put together."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from batchflow.clock import Clock, SystemClock
from batchflow.coordinator import Coordinator, Drain, Forecast
from batchflow.engine.arguments import aware, limit_of
from batchflow.engine.background import Background
from batchflow.engine.config import EngineConfig
from batchflow.engine.display import Showing
from batchflow.engine.report import Report, reported
from batchflow.engine.selection import Selection
from batchflow.engine.serving import Serving
from batchflow.engine.signals import StopOnSignals
from batchflow.engine.triggering import Triggering
from batchflow.engine.waiting import Waiting
from batchflow.errors import EngineStateError, ForkedStoreError, StoreClosedError
from batchflow.executor import ExecutorContext, chosen_executor
from batchflow.store import Store
from batchflow.store.schema.run_id import run_id_of

if TYPE_CHECKING:
    import enum
    import os
    from datetime import datetime
    from types import TracebackType

    from batchflow.coordinator import Progress
    from batchflow.definition import AnyWorkflow
    from batchflow.engine.stored_run import StoredRun
    from batchflow.executor import ExecutorFactory


class Engine(Triggering):
    """Runs workflows over one store: load, run, ask, pause.

    Open it in a ``with`` block, or call ``close``. Methods may be called from any thread.

    Args:
        path: the DuckDB file that keeps the runs, made if it isn't there; ``":memory:"`` keeps
            them in this process only.
        workflows: the definitions whose runs are moved; they share the store and the workers.
        workers: Processes that execute steps; 0 executes them in this one; the default is one
            for each core this process may use.
        executor: What executes steps instead, such as ``ProcessPool(workers=2)``, ``Inline()``, or
            one of your own; ``workers`` is its short form, so give only one of the two.
        clock: tells the time, to the store as well.
        config: settings that rarely need a change.

    Raises:
        DefinitionError: a workflow has problems; all of them are listed. Or both ``workers`` and
            ``executor`` are given.
        StoreHeldError: another process has the store open.
        StoreFormatError: the file isn't a store.
        MigrationError: the store was made by a workflow that this one can't follow.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *workflows: AnyWorkflow,
        workers: int | None = None,
        executor: ExecutorFactory | None = None,
        clock: Clock | None = None,
        config: EngineConfig | None = None,
    ) -> None:
        selection, chosen = Selection(workflows), chosen_executor(workers, executor)
        self._clock = clock or SystemClock()
        self._config = config or EngineConfig()
        store = Store.open(
            path,
            workflows,
            clock=self._clock.now,
            memory_limit=self._config.memory_limit,
            log_values=self._config.log_values,
        )
        super().__init__(store, selection)
        try:
            self._executor = chosen.open(
                ExecutorContext(
                    workflows=selection.by_name,
                    log_values=self._config.log_values,
                    worker_memory_limit=self._config.worker_memory_limit,
                )
            )
        except BaseException:
            self._store.close()
            raise
        self._coordinator = Coordinator(
            self._store, self._executor, workflows, self._clock, self._config
        )
        self._waiting, self._forecast = Waiting(self._store), Forecast(workflows)
        self._coordinator.listeners += [self._waiting.notify, self._forecast.update]
        self._background: Background | None = None
        self._draining = threading.Lock()
        self._switching = threading.Lock()
        self._closed = False
        try:
            self._serving = Serving(self, self._store, self._config)
        except BaseException:
            self._executor.close()
            self._store.close()
            raise

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
        """Stop the coordinator, end the workers and close the store; a second call does nothing.

        A ``run()`` in another thread is stopped first, like one by Ctrl-C. In a forked child, where
        all of that is the parent's, it does nothing.
        """
        if self._store.inherited:
            return
        with self._switching:
            self._closed = True
        self._serving.close()
        try:
            self.stop()
        finally:
            self._coordinator.stop.request(self._config.grace_seconds)
            with self._draining:
                self._executor.close()
                self._store.close()

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
        is lost either way: what wasn't committed is executed again by the next run. With
        ``workers=0`` nobody can end a step but itself (it looks at ``run.stopping``) or a second
        signal, which raises in it.

        Args:
            wait_for_retries: also wait for the runs that back off after a failure.
            limit: execute steps for at most this many runs (a SQL step: about this many).
            until: stop at this moment (aware).
            progress: show a bar; by default on a terminal and in a notebook.

        Raises:
            EngineStateError: a coordinator is at work already.
            StepCodeError, ResourceError: a step or resource can't be had in the workers.
            StoreClosedError: the engine was closed.
            ForkedStoreError: this is the child of a fork, and the engine is its parent's.
        """
        drain = Drain(wait_for_retries=wait_for_retries, limit=limit_of(limit), until=aware(until))
        self._refuse_in_child()
        with self._switching:
            free = self._draining.acquire(blocking=False)
        if not free:
            raise EngineStateError(
                "this engine is at work already: wait for its run(), or call stop() after start()"
            )
        began = time.monotonic()
        try:
            self._clear_stop()
            grace_seconds = self._config.grace_seconds
            with (
                StopOnSignals(self._coordinator.stop, self._executor.interrupt, grace_seconds),
                Showing(self._coordinator, self._forecast, progress),
            ):
                tally = self._coordinator.drain(drain)
            seconds = time.monotonic() - began
            return reported(
                self._store, self._workflows.all, tally, seconds, self._config.log_values
            )
        finally:
            self._forecast.forget()
            self._draining.release()

    def start(self) -> None:
        """Move runs in the background, as they are triggered, until ``stop``.

        Raises:
            EngineStateError: a coordinator is at work already.
            StoreClosedError: the engine was closed.
        """
        self._refuse_in_child()
        with self._switching:
            if not self._draining.acquire(blocking=False):
                raise EngineStateError("this engine is at work already: call stop() first")
            try:
                self._clear_stop()
                self._waiting.forget_failure()
                self._background = Background(
                    self._coordinator,
                    self._waiting.notify_failure,
                    self._config.grace_seconds,
                    self._config.log_values,
                )
            except BaseException:
                self._draining.release()
                raise

    def stop(self) -> None:
        """End what ``start`` began: chunks in flight finish within ``grace_seconds``.

        Does nothing where nothing was started. Raises what ended the coordinator, if something did.
        """
        if self._store.inherited:
            return
        with self._switching:
            background, self._background = self._background, None
        if background is None:
            return
        try:
            background.end()
        finally:
            self._forecast.forget()
            self._draining.release()

    def progress(self) -> Progress | None:
        """Answer how far the drain under way is, as of its last commit; None where there is none.

        It asks nothing of the store, and may be called from any thread as often as one likes. In a
        forked child, where all of that is the parent's, it answers None.
        """
        return None if self._store.inherited else self._forecast.progress

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that ``EngineConfig.listen`` asked for."""
        return self._serving.ports

    def wind_down(self) -> bool:
        """Have the drain under way end, from any thread, and answer whether there is one.

        Chunks in flight finish within ``grace_seconds``. ``run`` then answers as it does after
        ``until``; after ``start``, call ``stop``.
        """
        at_work = self._draining.locked()
        if at_work:
            self._coordinator.stop.request(self._config.grace_seconds)
        return at_work

    def run_id_at(self, workflow: AnyWorkflow | str, seq: int) -> UUID:
        """Answer the id of the run with this number, such as ``LoadReport.first_seq``."""
        return UUID(int=self._store.run_id_base(self._workflows.only(workflow)) + seq)

    def _refuse_in_child(self) -> None:
        # Before any lock: in the child of a fork, what held it may be gone.
        if self._store.inherited:
            raise ForkedStoreError

    def _clear_stop(self) -> None:
        self._coordinator.stop.clear()
        # Only now: who closes the engine says so before it requests the stop.
        if self._closed:
            raise StoreClosedError

    def wait(
        self,
        run_id: UUID | str,
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
        wanted = run_id_of(run_id)
        workflow = self._store.workflow_of(wanted)
        self._waiting.wait(workflow, wanted, workflow.code_of(status), timeout_seconds)
        return self.get(wanted)

    def _warm_up(self, workflow: AnyWorkflow) -> None:
        """Have the workers come up while a load goes on, as most loads are followed by a run."""
        self._refuse_in_child()
        needed = any(not step.kind.in_store for step in workflow.steps.values())
        with self._switching:
            if needed and not self._closed and self._draining.acquire(blocking=False):
                try:
                    self._executor.start()
                finally:
                    self._draining.release()
