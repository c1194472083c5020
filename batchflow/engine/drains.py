"""The drains of an engine: in the foreground or in the background, one at a time."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from batchflow import crash_point
from batchflow.coordinator import DrainOptions, Forecast
from batchflow.definition import StepKind
from batchflow.engine.background import Background
from batchflow.engine.canary import together
from batchflow.engine.display import Showing
from batchflow.engine.report import Report
from batchflow.engine.reporting import Reporting
from batchflow.engine.signals import StopOnSignals
from batchflow.errors import EngineStateError, ForkedStoreError, StoreClosedError
from batchflow.store import RunsAdded, RunsChanged, RunsPutBack, RunsRemoved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchflow.clock import Clock
    from batchflow.coordinator import Coordinator, Progress
    from batchflow.definition import AnyWorkflow
    from batchflow.engine.canary import Canary
    from batchflow.engine.config import EngineConfig
    from batchflow.engine.news import CommitNews
    from batchflow.executor import Executor
    from batchflow.store import Store, StoreChange


class Drains:
    """Runs one drain at a time, and knows how far it is.

    Args:
        store: The store whose runs are moved.
        workflows: Their definitions, by name.
        executor: Executes steps; it is closed with this.
        coordinator: Moves the runs.
        news: Is notified of each commit and of the coordinator's failure.
        clock: The present time.
        config: The engine's settings.

    Attributes:
        last_report: The report of the last drain in the foreground that ended without an error.
    """

    def __init__(
        self,
        store: Store,
        workflows: Mapping[str, AnyWorkflow],
        executor: Executor,
        coordinator: Coordinator,
        news: CommitNews,
        clock: Clock,
        config: EngineConfig,
    ) -> None:
        self._store = store
        self._workflows = workflows
        self._clock = clock
        flows = list(workflows.values())
        self._reporting = Reporting(store, flows, clock, config.log_values)
        self.last_report: Report | None = None
        self._executor = executor
        self._coordinator = coordinator
        self._news = news
        self._config = config
        self._forecast = Forecast(flows)
        coordinator.listeners += [news.notify, self._forecast.update]
        self._background: Background | None = None
        self._running = threading.Lock()
        self._switching = threading.Lock()
        self._closed = False

    def run(
        self, options: DrainOptions, *, progress: bool | None, canary: Canary | None = None
    ) -> Report:
        """Run a drain in this thread; see `Engine.run`."""
        self._refuse_in_child()
        with self._switching:
            free = self._running.acquire(blocking=False)
        if not free:
            raise EngineStateError(
                "This engine is running already; wait for its run(), or call stop() after start()."
            )
        try:
            self._clear_stop()
            grace_seconds = self._config.grace_seconds
            stop, interrupt = self._coordinator.stop, self._executor.interrupt
            # A signal's usual effect comes last, so that its drain has a report as well.
            with StopOnSignals(stop, interrupt, grace_seconds):
                report = self._first_of(options, progress, canary) if canary else None
                if report is None or report.ended_by == "idle":
                    rest = self._reported_drain(options, progress)
                    report = rest if report is None else together(report, rest)
                self.last_report = report
            return report
        finally:
            self._forecast.forget()
            self._running.release()

    def _first_of(self, options: DrainOptions, progress: bool | None, canary: Canary) -> Report:
        """Drain a sample; the report says if too much of it failed."""
        since = self._clock.now()
        flows = self._workflows.values()
        samples = {flow.name: self._store.sample(flow, canary.share) for flow in flows}
        with self._store.first_of(samples):
            report = self._reported_drain(options, progress)
        failed = sum(self._store.failed_of(flow, samples[flow.name], since) for flow in flows)
        runs = sum(sample.runs for sample in samples.values())
        if report.ended_by == "idle" and failed > canary.most_failed * runs:
            work = [self._store.work_left(flow, self._clock.now()) for flow in flows]
            report = replace(report, ended_by="canary", left=sum(each.due for each in work))
        return report

    def _reported_drain(self, options: DrainOptions, progress: bool | None) -> Report:
        self.last_report = None
        began = time.monotonic()
        with Showing(self._coordinator, self._forecast, progress):
            tally = self._coordinator.drain(options)
        return self._reporting.report(tally, time.monotonic() - began)

    def start(self, options: DrainOptions) -> None:
        """Begin to drain in a thread of its own; see `Engine.start`."""
        self._refuse_in_child()
        with self._switching:
            if not self._running.acquire(blocking=False):
                raise EngineStateError("This engine is running already; call stop() first.")
            try:
                self._clear_stop()
                self._news.forget_failure()
                self._background = Background(
                    self._coordinator,
                    options,
                    self._news.notify_failure,
                    self._config.grace_seconds,
                    self._config.log_values,
                )
            except BaseException:
                self._running.release()
                raise

    def stop(self) -> None:
        """End what `start` began, and wait for its end; see `Engine.stop`."""
        with self._switching:
            background, self._background = self._background, None
        if background is None:
            return
        try:
            background.end()
        finally:
            self._forecast.forget()
            self._running.release()

    def request_stop(self) -> bool:
        """Ask the drain that is running to stop, and return whether one is running."""
        running = self._running.locked()
        if running:
            self._coordinator.stop.request(self._config.grace_seconds)
        return running

    @property
    def is_idle(self) -> bool:
        """Whether no drain is running."""
        return not self._running.locked()

    @property
    def progress(self) -> Progress | None:
        """How far the drain that is running is; None where none is running."""
        return self._forecast.progress

    def note(self, change: StoreChange) -> None:
        """Notify the coordinator and waiting callers of a change of the store."""
        match change:
            case RunsAdded():
                crash_point.reached("after_load")
                self._coordinator.loaded(
                    change.workflow, change.code, change.first_seq, change.last_seq
                )
            case RunsChanged():
                self._coordinator.changed(change.workflow)
            case RunsPutBack():
                self._coordinator.put_back(change.workflow, change.completed)
            case RunsRemoved():
                # Finished runs are in no backlog.
                pass
            case _:
                assert_never(change)
        self._news.notify()

    def warm_up(self, workflow: AnyWorkflow) -> None:
        """Start the workers while a load is under way, as most loads are followed by a run."""
        self._refuse_in_child()
        needed = any(step.kind is not StepKind.SQL for step in workflow.steps.values())
        with self._switching:
            if needed and not self._closed and self._running.acquire(blocking=False):
                try:
                    self._executor.start()
                finally:
                    self._running.release()

    @contextmanager
    def while_idle(self) -> Iterator[None]:
        """Let no drain begin within the block.

        Raises:
            EngineStateError: A drain is running.
        """
        self._refuse_in_child()
        with self._switching:
            if not self._running.acquire(blocking=False):
                raise EngineStateError(
                    "This engine is running. Promote the rehearsal when its run() has ended, or "
                    "call stop() first."
                )
        try:
            yield
        finally:
            self._running.release()

    def refuse_more(self) -> None:
        """Let no drain begin any more."""
        with self._switching:
            self._closed = True

    def close(self) -> None:
        """Stop what is running and end the workers."""
        try:
            self.stop()
        finally:
            self._coordinator.stop.request(self._config.grace_seconds)
            with self._running:
                self._executor.close()

    def _refuse_in_child(self) -> None:
        # Before any lock, as in a forked child a lock's holder may be gone.
        if self._store.inherited:
            raise ForkedStoreError

    def _clear_stop(self) -> None:
        self._coordinator.stop.clear()
        # Afterwards, as closing the engine comes before the stop that it requests.
        if self._closed:
            raise StoreClosedError
