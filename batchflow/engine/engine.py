"""The engine: where a store, an executor and a coordinator are put together."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from batchflow.clock import Clock
from batchflow.coordinator import Coordinator, DrainOptions
from batchflow.engine.arguments import checked_clock, checked_limit, checked_share, checked_until
from batchflow.engine.canary import Canary
from batchflow.engine.catalog import EngineCatalog
from batchflow.engine.checked_workflows import checked_workflows
from batchflow.engine.config import EngineConfig, checked_config
from batchflow.engine.drains import Drains
from batchflow.engine.news import CommitNews
from batchflow.engine.open_engines import close_replaced, forget, is_top_level, keep_open, remember
from batchflow.engine.redefinition import Redefinitions
from batchflow.engine.rehearsing import RehearsalPlan, rehearse, require_declared, sql_literal
from batchflow.engine.serving import Serving
from batchflow.engine.telemetry import observe_engines
from batchflow.executor import ExecutorContext, beside, chosen_executor, warm_up
from batchflow.export.exports import Exports
from batchflow.operation import Request, ResultT
from batchflow.operation.options import (
    path_text,
    require_flag_or_none,
    require_mapping,
    require_predicate,
    workflow_name,
)
from batchflow.operation.requests import RequestStop, TriggerMany
from batchflow.operation.which_workflow import chosen_workflow
from batchflow.shards.creating import path_of_shard
from batchflow.store import Store
from batchflow.store.schema.shard import ShardNumber

if TYPE_CHECKING:
    import enum
    import os
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from batchflow.coordinator import Progress
    from batchflow.definition import AnyWorkflow
    from batchflow.engine.rehearsal import Rehearsal
    from batchflow.engine.report import Report
    from batchflow.executor import ExecutorFactory
    from batchflow.operation import ControlReport
    from batchflow.operation.parameters import Params
    from batchflow.store.runs.promote import Promoted


class Engine(Exports):
    """Runs workflows over one store: load, run, query, control.

    Open it in a ``with`` block, or call ``close``. Methods may be called from any thread.

    Args:
        path: The DuckDB file that keeps the runs, created if it doesn't exist; ``":memory:"``
            keeps them in this process only.
        workflows: The definitions whose runs are moved; they share the store and the workers.
        workers: The number of processes that execute steps; 0 executes them in this one; the
            default is one for each core that this process may use.
        executor: What executes steps instead, such as ``ProcessPool(workers=2)``, ``Inline()``, or
            one of your own; ``workers`` is its short form, so give only one of the two.
        clock: The present time, for the store as well.
        config: Settings that rarely need a change.
        shard: Which of several stores to open that share the runs by their foreign ids, like
            ``"3/8"`` for the third of eight; the path then has ``{shard}`` in place of the number.
            The set is created, with these workflows, if there is none.

    Raises:
        DefinitionError: A workflow has problems; all of them are listed.
        InvalidOptionError: An option has a value that isn't allowed, or both ``workers`` and
            ``executor`` are given.
        StoreHeldError: Another process has the store open.
        StoreFormatError: The file isn't a store, or not that shard.
        MigrationError: The store was made by a workflow that this one can't follow, or it is a
            shard of a set without this workflow.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *workflows: AnyWorkflow,
        workers: int | None = None,
        executor: ExecutorFactory | None = None,
        clock: Clock | None = None,
        config: EngineConfig | None = None,
        shard: str | None = None,
    ) -> None:
        path_text(path, "path", "the path of the store's file")
        by_name, chosen = checked_workflows(workflows), chosen_executor(workers, executor)
        at_top_level = is_top_level(sys._getframe(1))
        self._clock = checked_clock(clock)
        number = None if shard is None else ShardNumber.of(shard)
        path = path_of_shard(path, number, workflows, self._clock.now)
        if at_top_level:
            close_replaced(path)
        self._config = checked_config(config)
        self._store = Store.open(
            path,
            workflows,
            clock=self._clock.now,
            memory_limit=self._config.memory_limit,
            log_values=self._config.log_values,
            shard=number,
        )
        try:
            opened = chosen.open(
                ExecutorContext(
                    workflows=by_name,
                    log_values=self._config.log_values,
                    worker_memory_limit=self._config.worker_memory_limit,
                )
            )
        except BaseException:
            self._store.close()
            raise
        self._executor, self._opened = chosen, opened
        coordinator = Coordinator(self._store, opened, workflows, self._clock, self._config)
        self._workflows = by_name
        self.path = self._store.path
        self._source = self._store.source
        self._catalog = EngineCatalog(self._store, by_name)
        self._news = CommitNews()
        self._drains = Drains(
            self._store, by_name, opened, coordinator, self._news, self._clock, self._config
        )
        self._store.listeners.append(self._drains.note)
        try:
            self._serving = Serving(self, self._store, self._config)
        except BaseException:
            opened.close()
            self._store.close()
            raise
        self._redefinitions = Redefinitions(workflows)
        drains = self._drains
        # The engine of a rehearsal's copies is part of another one, and isn't counted as well.
        if not any(each.is_rehearsed for each in workflows):
            remember(self, lambda: at_top_level and drains.is_idle)
            observe_engines()

    def __enter__(self) -> Engine:
        keep_open(self)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        workflows = ", ".join(map(repr, self._workflows.values()))
        return f"<{type(self).__name__} {self.path!r}: {workflows}>"

    def close(self) -> None:
        """Stop the coordinator, end the workers and close the store; a second call does nothing.

        A ``run()`` in another thread is stopped first, as Ctrl-C would stop it. In a forked child,
        to which none of that belongs, it does nothing.
        """
        if self._store.inherited:
            return
        forget(self)
        self._drains.refuse_more()
        self._serving.close()
        try:
            self._drains.close()
        finally:
            self._store.close()

    @property
    def workflows(self) -> tuple[str, ...]:
        """The names of the engine's workflows, in the order given."""
        return tuple(self._workflows)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that ``EngineConfig.listen`` asked for."""
        return self._serving.ports

    def run(
        self,
        *,
        wait_for_retries: bool | None = None,
        limit: int | None = None,
        until: datetime | None = None,
        progress: bool | None = None,
        canary: float | None = None,
        canary_failures: float = 0.1,
        rerun_share: float | None = None,
    ) -> Report:
        """Move runs until nothing is runnable now, and report what was done.

        Ctrl-C and SIGTERM let the chunks in flight finish within ``grace_seconds`` and commit them;
        a second one abandons them. Then ``KeyboardInterrupt`` or ``SystemExit`` is raised. Nothing
        is lost either way: what wasn't committed is executed again by the next run. With
        ``workers=0`` a step is ended only by itself (it checks ``run.stopping``) or by a second
        signal, which raises in it.

        Args:
            wait_for_retries: Also wait for the runs that wait for a retry. By default, a drain with
                ``until`` waits for the retries that fall due before that time, and another drain
                ends when nothing is runnable.
            limit: Execute at most this many steps of runs: three steps of one run count as three.
            until: Stop at this moment; without a time zone it is in local time.
            progress: Show a bar; by default on a terminal and in a notebook.
            canary: The share of the runs at each status, like 0.01, that goes all the way first; at
                least 20 of each status. Default: None, no runs go first.
            canary_failures: The largest share of these that may fail. If more do, the drain ends
                there, and the report has ``ended_by="canary"``.
            rerun_share: The largest share of the workers, like 0.2, that runs which were put back
                by `retry` take from others that wait, until they are finished; when no others wait,
                they take all workers. Default: None, no limit.

        Raises:
            EngineStateError: The engine is running already, or a class of its workflows was
                defined again.
            StepCodeError, ResourceError: A step or resource can't be had in the workers.
            StoreClosedError: The engine was closed.
            ForkedStoreError: This is a forked child, and the engine belongs to its parent.
        """
        require_flag_or_none(wait_for_retries, "wait_for_retries")
        require_flag_or_none(progress, "progress")
        options = DrainOptions(
            wait_for_retries=until is not None if wait_for_retries is None else wait_for_retries,
            limit=checked_limit(limit),
            until=checked_until(until),
            rerun_share=checked_share(rerun_share),
        )
        self._redefinitions.check()
        # Without a canary, its other option isn't used, but a wrong one is refused as well.
        chosen = Canary(1.0 if canary is None else canary, canary_failures)
        return self._drains.run(
            options, progress=progress, canary=None if canary is None else chosen
        )

    def rehearse(
        self,
        where: str,
        params: Params = None,
        *,
        workflow: AnyWorkflow | str | None = None,
        at: enum.Enum | str | None = None,
        until: enum.Enum | str | None = None,
        reset: Mapping[str, Any] | None = None,
        stand_ins: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Rehearsal:
        """Execute steps for copies of runs, and show what would change; nothing is stored.

        The copies are put back as `retry` puts runs back, and move as far as they can without
        waiting for retries. They have the ids, the times and the objects of their runs. They are in
        a store of their own in the system's folder for temporary files, and the steps are executed
        by an executor like this engine's.

        Args:
            where: The predicate that chooses the runs.
            params: The values of its parameters.
            workflow: The workflow with changed code, to try it; or the name of one of this engine's
                workflows. May be left out where there is only one.
            at: The status where all of them begin. Default: None, their own.
            until: The status where they stay, whose step isn't executed. Default: None, which
                executes all steps.
            reset: Values of fields that are set before the first step.
            stand_ins: Functions that are called in place of steps, by the names of the steps. A
                step with side effects needs one.

        Raises:
            InvalidOptionError: A step that may be executed has side effects and no stand-in, the
                predicate chooses no runs, or some of them never come to the status of `until`.
            QueryError: The predicate can't be executed.
        """
        require_predicate(where)
        require_mapping(reset, "reset")
        require_mapping(stand_ins, "stand_ins")
        definition = self._definition(workflow)
        plan = RehearsalPlan(
            where=where,
            params=params,
            workflow=definition,
            at=self._status_name(definition.name, at),
            until=self._status_name(definition.name, until),
            reset={name: sql_literal(name, value) for name, value in (reset or {}).items()},
            stand_ins=stand_ins or {},
        )
        return self.rehearse_plan(plan)

    def rehearse_plan(self, plan: RehearsalPlan) -> Rehearsal:
        """Rehearse a plan whose values are SQL already."""
        # It starts while the runs are copied. In a forked child, nothing of it is there.
        if not self._store.inherited:
            warm_up(self._opened)
        return rehearse(self, plan, self._clock, self._open_copies, self._promote)

    def _definition(self, workflow: AnyWorkflow | str | None) -> AnyWorkflow:
        name = chosen_workflow(self._workflows, workflow_name(workflow))
        return self._workflows[name] if workflow is None or isinstance(workflow, str) else workflow

    def _status_name(self, workflow: str, status: enum.Enum | str | None) -> enum.Enum | str | None:
        """Return a status by its name if it is of this engine, as a changed workflow has others."""
        own = self._workflows[workflow].status_type
        return status.name if isinstance(status, own) else status

    def _open_copies(self, path: Path, workflow: AnyWorkflow) -> Engine:
        config = replace(self._config, serve=False, listen=None)
        executor = beside(self._executor, self._opened)
        return Engine(path, workflow, executor=executor, clock=self._clock, config=config)

    def _promote(self, name: str, promoted: Promoted) -> ControlReport:
        require_declared(self._workflows[name], promoted)
        with self._drains.while_idle():
            return self._store.promote(name, promoted, self._clock.now())

    def start(self, *, rerun_share: float | None = None) -> None:
        """Move runs in the background, as they are triggered, until ``stop``.

        Args:
            rerun_share: As for `run`.

        Raises:
            EngineStateError: The engine is running already, or a class of its workflows was
                defined again.
            StoreClosedError: The engine was closed.
        """
        self._redefinitions.check()
        self._drains.start(DrainOptions(rerun_share=checked_share(rerun_share), forever=True))

    def stop(self) -> None:
        """End what ``start`` began, and wait until it has ended.

        Chunks in flight may finish within ``grace_seconds``. Where nothing was started it does
        nothing. It raises what ended the coordinator, if something did. ``request_stop`` doesn't
        wait, and also stops a ``run`` of another thread.
        """
        if not self._store.inherited:
            self._drains.stop()

    @property
    def _chunks_in_flight(self) -> int:
        progress = self.progress()
        return 0 if progress is None else progress.chunks_in_flight

    def progress(self) -> Progress | None:
        """Return how far the running drain is, as of its last commit; None where none is running.

        It doesn't query the store, and may be called from any thread at any rate. In a forked
        child, to which the drain doesn't belong, it returns None.
        """
        return None if self._store.inherited else self._drains.progress

    @property
    def last_report(self) -> Report | None:
        """The report of the last ``run``, also if a signal ended it; None without one."""
        return self._drains.last_report

    def perform(self, request: Request[ResultT]) -> ResultT:
        """Carry out a request in this process and return its result; see `Operations`."""
        if isinstance(request, RequestStop):
            return cast("ResultT", self._drains.request_stop())
        if isinstance(request, TriggerMany):
            workflow = self._workflows[chosen_workflow(self._workflows, request.workflow)]
            self._drains.warm_up(workflow)
        return self._store.perform(request, self._clock.now())
