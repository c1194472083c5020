"""Every question about the runs of a store, as one interface."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload
from uuid import UUID

from batchflow.definition.workflow import AnyWorkflow, Workflow
from batchflow.errors import QueryError
from batchflow.operation.options import (
    aware_moment,
    moment_or_none,
    names_of,
    path_text,
    require_flag,
    seconds_or_none,
    workflow_name,
)
from batchflow.operation.parameters import Params, plain_params
from batchflow.operation.public_methods import names_its_methods
from batchflow.store.database.store_error import damaged_file, is_damage
from batchflow.store.query import analysis, causes, costs, queries
from batchflow.store.query.catalog import (
    Catalog,
    FoundRun,
    chosen_tables,
    fields_known,
    find_run,
    is_defined,
)
from batchflow.store.query.causes import Failures, FailuresWanted
from batchflow.store.query.check import check
from batchflow.store.query.check_report import CheckReport
from batchflow.store.query.metrics import Sample, metrics_text, samples_of
from batchflow.store.query.moments import Period
from batchflow.store.query.permission import require_reading
from batchflow.store.query.plottable import PlottableRelation
from batchflow.store.query.relation import Relation
from batchflow.store.query.repro import find_failed, write_repro
from batchflow.store.query.slices.explain import explain
from batchflow.store.query.source import ResultT, Source
from batchflow.store.query.status_picture import pictures
from batchflow.store.query.stored_run import ObjectT, StatusT, StoredRun, read_run
from batchflow.store.query.waiting import Awaited, News, awaited_statuses, wait_for_status

if TYPE_CHECKING:
    from batchflow.store.schema.tables import Tables


@names_its_methods
class Questions(ABC):
    """The questions about the runs of a store, wherever it is open; nothing is changed.

    A workflow, or its name, may be left out where there is only one. A run is named by its run id
    or by its foreign id, a text or an integer; of several runs with a foreign id, the latest is
    meant.

    Attributes:
        path: The store's file.

    Raises:
        WorkflowNotFoundError: There is no such workflow.
        RunNotFoundError: There is no such run.
        QueryError: A relation's query can't be executed; raised when its rows are read.
    """

    path: str
    _source: Source
    _catalog: Catalog
    _news: News

    def sql(self, query: str, params: Params = None) -> Relation:
        """Query the store in SQL; ``params`` are bound to ``?`` or ``$name``.

        Args:
            query: One statement that only reads. Each workflow is a schema with the tables
                ``runs``, ``transitions`` and ``errors``.
            params: The values of its parameters.

        Raises:
            QueryError: It isn't one statement that reads, or compares a status or another ENUM of
                a workflow's tables with a name that it can't have.
        """
        require_reading(query)
        bound = plain_params(params)
        self._with_known_names(lambda: queries.require_names_of(self._catalog, query, bound))
        return Relation(self._source, query, bound)

    def runs(
        self,
        where: str | None = None,
        params: Params = None,
        *,
        as_of: datetime | timedelta | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> Relation:
        """Return the runs that an SQL predicate over their columns chooses, or all.

        Args:
            where: The predicate. A name that its status, run state or other ENUM can't have is
                refused.
            params: The values of its parameters, ``?`` or ``$name``: also NumPy's scalars and
                members of enums.
            as_of: The moment at which the runs are looked at; a timedelta is counted back from now,
                and without a time zone it is in local time. Default: None, now. ``status``,
                ``run_state``, ``version``, ``attempt``, ``updated_at`` and ``reason`` are those
                after the last change until then, and ``next_attempt_at`` is NULL. Earlier values of
                objects aren't kept, so the fields have the present ones. Runs that were pruned
                since are missing.
            workflow: The workflow; may be left out where there is only one.
        """
        moment = moment_or_none(as_of, "as_of")
        return self._with_known_names(
            lambda: queries.runs(self._source, self._tables(workflow), where, params, moment)
        )

    def counts(
        self,
        *,
        as_of: datetime | timedelta | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> PlottableRelation:
        """Return how many runs are at each status, in each run state.

        With ``as_of``, these are the counts at that moment, without runs that were pruned since.
        """
        moment, tables = moment_or_none(as_of, "as_of"), self._tables(workflow)
        if moment is None:
            return queries.counts(self._source, tables)
        return analysis.counts_at(self._source, tables, moment)

    def diff(
        self,
        since: datetime | timedelta,
        until: datetime | timedelta | None = None,
        *,
        workflow: AnyWorkflow | str | None = None,
    ) -> Relation:
        """Return how many runs moved between two moments, from where and to where.

        Its columns are ``from_status``, ``from_run_state``, ``to_status``, ``to_run_state``,
        ``runs`` and ``samples``, the ids of up to three of them. A run that wasn't there at the
        first moment comes from NULL. Runs that are where they were are left out, also if they were
        elsewhere meanwhile, and so are runs that were pruned since.

        Args:
            since: The first moment; a timedelta is counted back from now, and without a time zone
                it is in local time.
            until: The second moment. Default: None, now.
            workflow: The workflow; may be left out where there is only one.

        Raises:
            InvalidOptionError: The second moment precedes the first.
        """
        period = Period.of(aware_moment(since, "since"), until)
        return analysis.diff(self._source, self._tables(workflow), period)

    def errors(  # noqa: PLR0913 - most are conditions, which callers give alone
        self,
        cause: str | None = None,
        *,
        where: str | None = None,
        params: Params = None,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        by: str | Sequence[str] = (),
        workflow: AnyWorkflow | str | None = None,
        tracebacks: bool = False,
    ) -> Failures:
        """Return the failures of steps by cause, the most frequent first.

        Failures have the same cause if they have the same type, the same message but for values in
        it (ids, numbers, paths, addresses, times, quoted texts), the same innermost line of your
        code, and come from the same exceptions. ``.runs()`` returns the runs that failed so, and
        ``.all()`` each failure with its traceback.

        Its columns are those of `by`, then ``cause`` (its id), ``description``, ``count``
        (failures), ``runs``, ``affected`` (runs that still stand there, unfinished), ``share`` (of
        the runs that failed at all), ``steps``, ``first_seen``, ``last_seen``, ``run_id`` (of the
        latest), ``type``, ``place``, and the ``message`` of the latest.

        Args:
            cause: Only this cause, by its id.
            where: Only failures of runs that this SQL predicate over their columns chooses.
            params: The values of its parameters, ``?`` or ``$name``.
            since: Only failures that were committed at this time or later; a timedelta is counted
                back from now.
            until: Only failures that were committed before this time.
            by: The column, or several, by which failures are also grouped: of runs, the member of
                a nested one, such as ``"customer.country"``, or ``step``, ``worker``, ``chunk`` or
                ``attempt`` of the failure.
            workflow: The workflow; may be left out where there is only one.
            tracebacks: Whether the last column is the traceback of the latest.

        Raises:
            InvalidOptionError: A column or a time isn't one.
        """
        require_flag(tracebacks, "tracebacks")
        period, columns = Period.of(since, until), names_of(by, "by")
        wanted = FailuresWanted(cause=cause, where=where, params=params, period=period, by=columns)
        return causes.errors(self._source, self._tables(workflow), wanted, tracebacks=tracebacks)

    def check(self) -> CheckReport:
        """Check whether the store is sane.

        All tables are read. The log has to replay to the table of runs: no version is missing or
        there twice, each transition begins where the one before led, every transition was declared
        or made by an operation, and no run is there twice. What can't be verified is listed, and
        the size of each table. ``ok`` of the report is true if nothing is wrong.

        Raises:
            StoreError: The file is so damaged that its workflows can't be read.
        """
        try:
            return check(self._source, self._catalog)
        except QueryError as error:
            if is_damage(error.found):
                raise damaged_file(self.path, error.found) from error
            raise

    def rejected(
        self,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> Relation:
        """Return the rows that loads left out, with their source, row number and reason.

        With ``since`` and ``until``, those of loads from one moment on, and before the other.

        Its columns are ``load_id`` (the entry in ``batchflow.loads``; NULL where the source wasn't
        a file), ``loaded_at``, ``source``, ``source_row`` (from 1), ``foreign_id``, ``reason``
        (``invalid``, ``duplicate``, ``unfinished``, ``running`` or ``finished``), ``detail``, and
        ``record``, the row as JSON. The first 10,000 of each file are kept, until they are pruned.
        """
        period = Period.of(since, until)
        return queries.rejected(self._source, self._tables(workflow), period)

    def find(self, run: UUID | str | int, *, workflow: AnyWorkflow | str | None = None) -> FoundRun:
        """Return the ``workflow`` and the ``run_id`` of a run."""
        return find_run(self._source, self._catalog, run, workflow_name(workflow))

    @overload
    def get(
        self, run: UUID | str | int, *, workflow: Workflow[ObjectT, StatusT]
    ) -> StoredRun[ObjectT, StatusT]: ...

    @overload
    def get(self, run: UUID | str | int, *, workflow: str | None = None) -> StoredRun[Any, Any]: ...

    def get(
        self, run: UUID | str | int, *, workflow: AnyWorkflow | str | None = None
    ) -> StoredRun[Any, Any]:
        """Return one run as it is stored now.

        Its object is an instance of the workflow's object type in the engine's process. Elsewhere
        it is one of a dataclass with the same name and fields.
        """
        found = self.find(run, workflow=workflow)
        definition = self._catalog.definition(found.tables.name)
        return read_run(self._source, definition, found)

    def history(
        self,
        run: UUID | str | int,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        workflow: AnyWorkflow | str | None = None,
        tracebacks: bool = False,
    ) -> Relation:
        """Return the transitions of one run in their order, with the error of each that failed.

        With ``since`` and ``until``, those from one moment on, and before the other. With
        ``tracebacks``, the last column is the traceback of the error.
        """
        require_flag(tracebacks, "tracebacks")
        period = Period.of(since, until)
        found = self.find(run, workflow=workflow)
        return queries.history(self._source, found, period, tracebacks=tracebacks)

    @overload
    def wait(
        self,
        run: UUID | str | int,
        status: Awaited = None,
        *,
        timeout_seconds: float | None = None,
        workflow: Workflow[ObjectT, StatusT],
    ) -> StoredRun[ObjectT, StatusT]: ...

    @overload
    def wait(
        self,
        run: UUID | str | int,
        status: Awaited = None,
        *,
        timeout_seconds: float | None = None,
        workflow: str | None = None,
    ) -> StoredRun[Any, Any]: ...

    def wait(
        self,
        run: UUID | str | int,
        status: Awaited = None,
        *,
        timeout_seconds: float | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> StoredRun[Any, Any]:
        """Wait until a run is, or has been, at a status; return it as it is then.

        Args:
            run: The run id, or the foreign id.
            status: The status, or several of which one is enough. Default: None, which waits
                until the run is finished, that is completed or cancelled.
            timeout_seconds: The longest wait. Default: None, which is no limit.
            workflow: The workflow; may be left out where there is only one.

        Raises:
            TimeoutError: It didn't reach the status in time.
            RunUnreachableError: It can't reach the status any more; says where it is, and why.
        """
        longest = seconds_or_none(timeout_seconds, "timeout_seconds")
        found = self.find(run, workflow=workflow)
        definition = self._catalog.definition(found.tables.name)
        wanted = awaited_statuses(definition, status)
        wait_for_status(self._source, definition, found, wanted, self._news, longest)
        return read_run(self._source, definition, found)

    def explain(
        self,
        where: str,
        params: Params = None,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> PlottableRelation:
        """Return what the runs that a predicate chooses share, and the rest doesn't.

        Each row is a *slice*: the runs of which one or two columns have a value or are in a range.
        The slice that separates the runs best comes first. A slice is left out if it is implied by
        those before it, or if a random selection could have it. So the slices of a random selection
        are none.

        Its columns are ``slice`` (SQL, as ``runs`` takes it), ``runs`` and ``rest`` (how many of
        the chosen runs and of the rest are in it), ``share_of_these`` and ``share_of_rest``,
        ``risk_ratio`` (how much more often a run in the slice is chosen than one outside), and
        ``explained`` (the part of the chosen runs that there would not be if runs in the slice were
        chosen as rarely as those outside: the attributable fraction). Slices that say where and
        when runs were executed (the worker, ``attempt``, ``updated_at``) come last.

        The slices are searched now, in a sample of about 200,000 runs of either side where there
        are more; it has the same runs each time, and the test of chance takes it into account.
        Whenever rows are fetched, they are counted over all runs. Columns that the predicate names
        aren't compared, nor fields that the steps fill.

        Args:
            where: The predicate over the columns of ``runs``, such as ``"run_state = 'PAUSED'"``.
            params: The values of its parameters.
            since: Compare only runs that changed since then; a timedelta is counted back from now.
            until: Compare only runs that changed before then.
            workflow: The workflow; may be left out where there is only one.

        Raises:
            QueryError: The predicate chooses no runs, or all of them.
        """
        tables = self._tables(workflow)
        period = Period(moment_or_none(since, "since"), moment_or_none(until, "until"))
        fields = fields_known(self._catalog, tables.name)
        return explain(self._source, tables, fields, where, params, period)

    def costs(
        self,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> Relation:
        """Return what each step cost in each night: its time, and the bytes of its log on disk.

        Its columns are ``night`` (DATE; from noon to noon UTC, named by the day on which it
        began), ``step``, ``status``, ``runs`` and ``failed`` (executions), ``commits``,
        ``chunks``, ``step_seconds`` (in your code, over all workers), ``queue_seconds`` (chunks
        waited for a worker or a commit), ``commit_seconds``, ``bytes`` (the estimated part of its
        transitions and errors on disk), and ``slowest`` (the run ids and seconds of the slowest
        runs, where a run takes a millisecond or longer). Those of the last second of a drain under
        way are missing.

        Args:
            since: Only commits at this time or later; a timedelta is counted back from now.
            until: Only commits before this time.
            workflow: The workflow; may be left out where there is only one.
        """
        return costs.costs(self._source, self._tables(workflow), Period.of(since, until))

    def repro(
        self,
        run: UUID | str | int,
        folder: str | os.PathLike[str],
        *,
        values: bool = False,
        workflow: AnyWorkflow | str | None = None,
    ) -> Path:
        """Write a test that fails as a run did, and return its path, ``test_repro.py`` in a folder.

        The test calls the step with an object like the run's. A client has no steps, so give it
        the workflow itself, not its name.

        Args:
            run: The run id, the foreign id, or the id of a cause, which stands for its latest run.
            folder: The folder, which is created if needed.
            values: Whether the test has the values of the run's object, and the traceback. By
                default, the object has placeholders of the fields' types.
            workflow: The workflow; may be left out in an engine, where there is only one.

        Raises:
            RunNotFoundError: There is no such run or cause.
            InvalidOptionError: The run hasn't failed, the folder has a test already, or a client
                was given the workflow's name only.
            ExportError: The folder can't be written.
        """
        require_flag(values, "values")
        path = path_text(folder, "folder")
        failed = find_failed(self, self._source, self._catalog, run, workflow)
        return write_repro(failed, path, values=values)

    def metrics(self, *, workflow: AnyWorkflow | str | None = None) -> str:
        """Return the numbers of the store in the text format of Prometheus.

        They are the runs by status and run state, the chunks in flight, transitions and failures,
        the age of the oldest unfinished run, the last commit of each step, and the seconds in
        steps, queues and commits. Without a workflow, those of all. The command
        ``batchflow metrics`` writes them to a file, or serves them.
        """
        return metrics_text(self._samples(workflow))

    # How runs move. With ``since`` and ``until``, from one moment on, and before the other. A
    # timedelta is counted back from now, and without a time zone a moment is in local time.

    def throughput(
        self,
        bucket_seconds: float | None = None,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> PlottableRelation:
        """Return the number of transitions per second over time, by the status they started from.

        Its columns are ``bucket`` (TIMESTAMPTZ, where the bucket begins, counted from the epoch),
        ``status``, ``runs`` (transitions of any outcome, but for those of runs that were paused,
        resumed, cancelled, edited or retried by hand), ``failed`` (those of them that are failures)
        and ``runs_per_second``, over the whole bucket also where it isn't over yet. Buckets without
        a transition are left out. Without ``bucket_seconds`` they have a usual length, from a
        second to a day, of which about a hundred hold all transitions that are recorded.

        Raises:
            InvalidOptionError: The buckets have no length.
            QueryError: Transitions aren't recorded.
        """
        tables, period = self._tables(workflow), Period.of(since, until)
        # The formats have definitions and the log of operations since the same version.
        logged = is_defined(self._catalog, tables.name)
        return analysis.throughput(
            self._source, tables, bucket_seconds, period, logs_operations=logged
        )

    def durations(
        self,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> PlottableRelation:
        """Return how long runs stayed at each status before they left it.

        Its columns are ``status``, ``runs`` (a run that came back counts each time),
        ``p50_seconds``, ``p95_seconds``, ``p99_seconds`` and ``max_seconds``. A stay begins with
        the run's creation or its arrival, and ends when it advances, or is retried at another
        status: failures, repeats and pauses in between are part of it. The percentiles are
        approximate (DuckDB's ``approx_quantile``). With ``since`` and ``until``, these are the
        stays that ended from one moment on, and before the other.

        Raises:
            QueryError: Transitions aren't recorded.
        """
        period = Period.of(since, until)
        return analysis.durations(self._source, self._tables(workflow), period)

    def transitions(
        self,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> PlottableRelation:
        """Return how often runs went from each status to each other one, by outcome.

        Its columns are ``from_status``, ``to_status``, ``outcome`` and ``runs``; a run counts each
        time that it went.

        Raises:
            QueryError: Transitions aren't recorded.
        """
        period = Period.of(since, until)
        return analysis.transitions(self._source, self._tables(workflow), period)

    def funnel(
        self,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> PlottableRelation:
        """Return how far runs got: a row for each status, in the order of their definition.

        Its columns are ``status``, ``reached`` (runs that were ever there), ``here`` (runs that
        are there now) and ``left`` (runs that went on to another status; in SQL it is quoted).
        A run counts once in each, so one that came back is both here and has left. With ``since``
        and ``until``, ``here`` is at the end of that period, and ``left`` and ``reached`` are
        those of runs that were at the status within it.

        Raises:
            QueryError: Transitions aren't recorded.
        """
        period = Period.of(since, until)
        return analysis.funnel(self._source, self._tables(workflow), period)

    def ages(self, *, workflow: AnyWorkflow | str | None = None) -> PlottableRelation:
        """Return how long the oldest unfinished run at each status hasn't changed.

        Its columns are ``status``, ``runs``, ``oldest`` (its ``updated_at``), ``age_seconds`` (by
        DuckDB's ``now()``, whatever clock the engine has) and ``run_id``.
        """
        return analysis.ages(self._source, self._tables(workflow))

    # What each way to reach a store provides.

    def _samples(self, workflow: AnyWorkflow | str | None = None) -> Mapping[str, Sequence[Sample]]:
        """Return the values of all metrics, of one workflow or of all."""
        if workflow is None:
            chosen = list(self._catalog.tables(None).values())
        else:
            chosen = [self._tables(workflow)]
        return samples_of(self._source, chosen, self._chunks_in_flight)

    @property
    def _chunks_in_flight(self) -> int:
        """The chunks that workers had at the last commit; 0 where no drain is running."""
        return 0

    @property
    @abstractmethod
    def workflows(self) -> tuple[str, ...]:
        """The names of the workflows."""

    def _repr_html_(self) -> str:
        return pictures(self.path, self.workflows, self._source, self._catalog)

    def _tables(self, workflow: AnyWorkflow | str | None) -> Tables:
        return chosen_tables(self._catalog, workflow_name(workflow))

    def _with_known_names(self, ask: Callable[[], ResultT]) -> ResultT:
        """Return an answer; an engine may have added statuses since the workflows were read."""
        try:
            return ask()
        except QueryError:
            if not self._catalog.refresh():
                raise
            return ask()
