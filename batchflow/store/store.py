"""The store: its one interface to the layers above."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batchflow.definition.step import Step
from batchflow.errors import StoreFormatError
from batchflow.operation import ControlReport, Request, ResultT
from batchflow.operation.which_workflow import chosen_workflow
from batchflow.store.changes import RunsChanged, RunsPutBack, StoreChange
from batchflow.store.database import file as database
from batchflow.store.database.connection import Connection
from batchflow.store.database.instance import DEFAULT_MEMORY_LIMIT, MEMORY, Cursor, Settings
from batchflow.store.database.lock import StoreLock
from batchflow.store.database.spill import SpillFolder
from batchflow.store.database.thread_work import ThreadWork
from batchflow.store.loading.trigger import SingleTrigger
from batchflow.store.perform import OpenStore, perform
from batchflow.store.query.described_workflows import workflows_described_in
from batchflow.store.query.local_source import LocalSource
from batchflow.store.runs.backlog_counts import (
    BacklogCounts,
    WorkLeft,
    count_backlog,
    count_work_left,
)
from batchflow.store.runs.canary import CanaryRuns, count_failed, sample_runs
from batchflow.store.runs.claimable import claim_runs
from batchflow.store.runs.claimed_runs import ClaimedRuns
from batchflow.store.runs.commit import commit_steps
from batchflow.store.runs.copied import copy_runs
from batchflow.store.runs.cost_log import CommitCosts, CostLog
from batchflow.store.runs.invariants import refuse_unbindable_invariants
from batchflow.store.runs.promote import Promoted, promote
from batchflow.store.runs.prune import finish_prunes
from batchflow.store.runs.rerun_counts import find_reruns
from batchflow.store.runs.retry_paused import retry_paused
from batchflow.store.runs.step_commit import CommitResult, StepCommit
from batchflow.store.runs.suspect_runs import suspects
from batchflow.store.schema.layout import AnyWorkflow, Layout
from batchflow.store.schema.migrate import lay_out, layouts_as_stored
from batchflow.store.schema.shard import Shard, ShardNumber, require_shard, store_shard
from batchflow.store.schema.tables import Tables
from batchflow.store.sql_steps import sql_step
from batchflow.store.sql_steps.sql_in_place import KnownCasts
from batchflow.store.sql_steps.sql_result import SqlStepResult
from batchflow.store.sql_steps.sql_task import SqlTask
from batchflow.store.sql_steps.sql_visit import SqlVisit

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Store:
    """One DuckDB file with the runs of one or more workflows; safe to use from several threads.

    Attributes:
        path: The file, as an absolute path without symlinks; ``":memory:"`` if there is none.
        connection: The connection to DuckDB that all of its methods use.
        claimed: The runs that a drain has claimed.
        listeners: They are called with each change that an operation makes.
    """

    def __init__(
        self,
        connection: Connection,
        held: ExitStack,
        layouts: Mapping[str, Layout],
        tables: Mapping[str, Tables] | None = None,
    ) -> None:
        connection.lock_settings()
        self.path = str(connection.path or MEMORY)
        self.connection = connection
        self._held = held.pop_all()
        self._layouts = layouts
        self._source = LocalSource(connection)
        self._casts = KnownCasts()
        self._costs = CostLog()
        self.listeners: list[Callable[[StoreChange], None]] = []
        self.claimed = ClaimedRuns()
        self._open = OpenStore(
            connection=connection,
            tables=layouts if tables is None else tables,
            layouts=layouts,
            triggers={name: SingleTrigger(connection, each) for name, each in layouts.items()},
            claimed=self.claimed,
            report=self._report,
        )

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        workflows: Sequence[AnyWorkflow],
        *,
        clock: Callable[[], datetime],
        memory_limit: str | None = None,
        log_values: bool = False,
        run_id_base: int | None = None,
        shard: ShardNumber | None = None,
    ) -> Store:
        """Open the store at `path`, or create it; ``":memory:"`` keeps it in this process.

        Args:
            path: The file; a symlink is followed.
            workflows: Each is checked, and its tables are created or migrated.
            clock: Returns the present time, aware.
            memory_limit: The memory that DuckDB may use, like "4GB".
            log_values: Whether messages may show values of objects.
            run_id_base: The base of the run ids of a new store, for copies of runs.
            shard: The shard that it has to be.

        Raises:
            DefinitionError: A workflow has problems; the expressions of SQL steps are among them.
            StoreHeldError: Another process, or this one, has it open.
            StoreFormatError: The file is not a store, or not that shard; it isn't changed.
            MigrationError: A workflow changed in a way that the store can't follow.
        """
        settings = Settings(schemas=_checked_schemas(workflows), memory_limit=memory_limit)
        now = clock()
        with ExitStack() as held:
            opened = _opened(os.fspath(path), settings, now, held, log_values=log_values)
            with _closed_after_error(opened):
                with opened.write() as cursor:
                    layouts = lay_out(cursor, workflows, run_id_base)
                    require_shard(cursor, opened.path, shard)
                    _refuse_unbindable(cursor, layouts, now)
                opened.begin_log()
                finish_prunes(opened)
            return cls(opened, held, layouts)

    @classmethod
    def open_as_stored(
        cls, path: str | os.PathLike[str], *, clock: Callable[[], datetime]
    ) -> Store:
        """Open an existing store for operations, without the definitions of its workflows.

        It works from the definitions that are stored; their steps have no code.

        Args:
            path: The file; a symlink is followed.
            clock: Returns the present time, aware.

        Raises:
            StoreHeldError: Another process, or this one, has it open.
            StoreFormatError: There is no such file, or it isn't a store.
        """
        name = os.fspath(path)
        if not os.path.exists(name):
            raise StoreFormatError(f"There is no store {name!r}; give the path of one.")
        settings = Settings(memory_limit=DEFAULT_MEMORY_LIMIT)
        with ExitStack() as held:
            opened = _opened(name, settings, clock(), held, for_one_call=True)
            with _closed_after_error(opened):
                with opened.write() as cursor:
                    layouts = layouts_as_stored(cursor)
                    stored = workflows_described_in(cursor)
                    require_shard(cursor, opened.path)
                opened.begin_log()
                finish_prunes(opened)
            tables = {each: found.tables for each, found in stored.items()}
            return cls(opened, held, layouts, tables)

    @classmethod
    def create_shards(
        cls,
        shards: Mapping[Path, Shard],
        workflows: Sequence[AnyWorkflow] = (),
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """Create the files of shards, with the tables of workflows, and close them."""
        schemas = _checked_schemas(workflows)

        def write(cursor: Cursor, shard: Shard) -> None:
            store_shard(cursor, shard)
            layouts = lay_out(cursor, workflows, whole_set=True)
            _refuse_unbindable(cursor, layouts, now)

        now = clock()
        database.create_files(
            {path: partial(write, shard=shard) for path, shard in shards.items()},
            now,
            schemas,
        )

    @classmethod
    def add_to_shard(
        cls,
        path: str | os.PathLike[str],
        workflows: Sequence[AnyWorkflow],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """Create the tables of further workflows in a shard, as in all others of its set."""
        settings = Settings(schemas=_checked_schemas(workflows))
        now = clock()
        with ExitStack() as held:
            opened = _opened(os.fspath(path), settings, now, held, for_one_call=True)
            with _closed_after_error(opened):
                with opened.write() as cursor:
                    layouts = lay_out(cursor, workflows, whole_set=True)
                    _refuse_unbindable(cursor, layouts, now)
                opened.begin_log()
            opened.close()

    def close(self) -> None:
        """Close the store and give its lock back; a second call does nothing."""
        try:
            self.connection.close()
        finally:
            if not self.connection.inherited:
                self._held.close()

    @property
    def inherited(self) -> bool:
        """Whether another process opened it, and this one is its forked child."""
        return self.connection.inherited

    def run_id_base(self, workflow: AnyWorkflow) -> int:
        """Return the UUID, as a number, to which a run's seq is added for its run id."""
        return self._layout(workflow).run_id_base

    # Operations and questions.

    def perform(self, request: Request[ResultT], now: datetime) -> ResultT:
        """Carry out an operation and return its result; see `Operations`.

        The listeners are called with each change after it was committed.
        """
        return perform(self._open, request, now)

    @property
    def source(self) -> LocalSource:
        """The source that executes queries."""
        return self._source

    def tables(self, workflow: AnyWorkflow) -> Tables:
        """Return where the tables of a workflow are."""
        return self._layout(workflow)

    def workflow(self, name: str | None) -> AnyWorkflow:
        """Return the definition of the workflow that is named, or of the only one."""
        layouts = self._open.layouts
        return layouts[chosen_workflow(layouts, name)].workflow

    def copy_runs(self, workflow: AnyWorkflow, rows: pa.RecordBatchReader) -> int:
        """Store copies of another store's runs in this one, which has none; return their number."""
        return copy_runs(self.connection, self._layout(workflow), rows)

    def promote(self, workflow: str, promoted: Promoted, now: datetime) -> ControlReport:
        """Store the outcome of a rehearsal of this store's runs, unless they changed since."""
        layout = self._layouts[workflow]
        forget = self._open.triggers[workflow].forget_unfinished
        report = promote(self.connection, layout, promoted, self.claimed, forget, now)
        self._report(RunsChanged(workflow))
        return report

    def _report(self, change: StoreChange) -> None:
        for listener in self.listeners:
            listener(change)

    # The coordinator's part.

    def backlog(self, workflow: AnyWorkflow, now: datetime) -> BacklogCounts:
        """Count the runs that a step may be given now, by status and bucket."""
        with self.connection.reading() as cursor:
            return count_backlog(cursor, self._layout(workflow), now)

    def work_left(self, workflow: AnyWorkflow, now: datetime) -> WorkLeft:
        """Count the runs that a step may be given now, and those that wait for another attempt."""
        with self.connection.reading() as cursor:
            return count_work_left(cursor, self._layout(workflow), now)

    def retry_paused(self, workflow: AnyWorkflow, now: datetime) -> datetime | None:
        """Put the runs back that their step's `Retry` lets continue after a pause.

        Returns the time at which the next one is due; None without one.
        """
        forget = self._open.triggers[workflow.name].forget_unfinished
        found = retry_paused(self.connection, self._layout(workflow), self.claimed, forget, now)
        if found.completed is not None:
            self._report(RunsPutBack(workflow.name, found.completed))
        return found.next_at

    def reruns(self, workflow: AnyWorkflow, now: datetime) -> pa.Table:
        """Return the runnable runs that were put back: ``seq``, ``status`` (uint8), ``due``."""
        with self.connection.reading() as cursor:
            return find_reruns(cursor, self._layout(workflow), now)

    def suspects(self, workflow: AnyWorkflow) -> pa.Table:
        """Return ``status`` (uint8) and ``seq`` of runs that ended a worker where they stand."""
        with self.connection.reading() as cursor:
            return suspects(cursor, self._layout(workflow))

    @contextmanager
    def first_of(self, samples: Mapping[str, CanaryRuns]) -> Iterator[None]:
        """Give only the runs of samples to steps within the block, by the names of workflows."""
        every = self._layouts
        self._layouts = {
            name: replace(layout, scope=samples[name].scope) for name, layout in every.items()
        }
        try:
            yield
        finally:
            self._layouts = every

    def sample(self, workflow: AnyWorkflow, share: float) -> CanaryRuns:
        """Choose a share of the runs of each status that wait for a step."""
        with self.connection.reading() as cursor:
            return sample_runs(cursor, self._layout(workflow), share)

    def failed_of(self, workflow: AnyWorkflow, sample: CanaryRuns, since: datetime) -> int:
        """Return how many runs of a sample failed since a time."""
        with self.connection.reading() as cursor:
            return count_failed(cursor, self._layout(workflow), sample, since)

    def claim(
        self,
        workflow: AnyWorkflow,
        from_code: int,
        first_seq: int,
        last_seq: int,
        now: datetime,
        fields: Sequence[str],
    ) -> pa.Table:
        """Return the runs with these seqs that are at a status, runnable and due, in no order.

        Its columns are ``#seq`` (int64), ``#version`` and ``#attempt`` (int32), ``#run_state``
        (uint8), ``#foreign_id`` (string), ``#created_at`` (timestamp[us, UTC]), then `fields`.
        """
        seqs = (first_seq, last_seq)
        with self.connection.reading() as cursor:
            return claim_runs(cursor, self._layout(workflow), from_code, seqs, now, fields)

    def commit(self, commits: Sequence[StepCommit], now: datetime) -> list[CommitResult]:
        """Store results in one transaction, but for runs that were changed since their claim.

        Raises:
            CommitError: Nothing was stored; smaller commits may succeed.
            DiskFullError, StoreError: No other commit would succeed; this one is stored as a
                whole or not at all.
        """
        return commit_steps(self.connection, self._layouts, commits, now, self._costs)

    def add_costs(self, costs: CommitCosts) -> None:
        """Keep the costs of a commit until a later one stores them, or `store_costs`."""
        self._costs.add(costs)

    def store_costs(self) -> None:
        """Store the costs of the commits so far."""
        if self._costs:
            with self.connection.write() as cursor:
                self._costs.insert(cursor)
            self._costs.clear()

    def commit_sql_steps(
        self,
        workflow: AnyWorkflow,
        steps: Sequence[Step],
        seqs: tuple[int, int],
        now: datetime,
        random: np.random.Generator,
    ) -> list[SqlStepResult]:
        """Execute a SQL step for its claimable runs from a seq to a seq, in one transaction.

        The runs that advance go on to the further `steps`, which are in the order of their
        statuses, unless one of them fails. Returns the result of the first step, and of
        each further one that was executed.
        `random` is where the jitter of the waits of failed runs comes from.

        Raises:
            CommitError, DiskFullError, StoreError: as for `commit`.
            WriteInterruptedError: It was interrupted, and nothing is stored.
        """
        log_values = self.connection.log_values
        first, *onward = steps
        task = SqlTask(self._layout(workflow), first, *seqs, now, log_values)
        visit = SqlVisit.of(task, onward)
        with self.connection.doing(ThreadWork()):
            return sql_step.commit_sql_steps(self.connection, visit, random, self._casts)

    def interrupt_sql_step(self, thread: threading.Thread) -> None:
        """Interrupt the SQL step that a thread executes; repeat it until the step has ended."""
        self.connection.interrupt((thread,))

    def _layout(self, workflow: AnyWorkflow) -> Layout:
        return self._layouts[workflow.name]


def _checked_schemas(workflows: Sequence[AnyWorkflow]) -> frozenset[str]:
    """Check workflows, and return the names of their schemas."""
    for workflow in workflows:
        workflow.check()
    return frozenset(workflow.name.lower() for workflow in workflows)


def _refuse_unbindable(cursor: Cursor, layouts: Mapping[str, Layout], now: datetime) -> None:
    sql_step.refuse_unbindable(cursor, layouts.values(), now)
    refuse_unbindable_invariants(cursor, layouts.values())


def _opened(
    name: str,
    settings: Settings,
    now: datetime,
    held: ExitStack,
    *,
    log_values: bool = False,
    for_one_call: bool = False,
) -> Connection:
    """Open a file, or a store in memory, and have `held` give back what it holds."""
    if name == MEMORY:
        settings = replace(settings, spill_folder=_spill_folder(held, SpillFolder.temporary()))
        return Connection(database.open_memory(now, settings), log_values=log_values)
    real = Path(os.path.realpath(name))
    lock = StoreLock.acquire(real, now, for_one_call=for_one_call)
    held.callback(lock.release)
    settings = replace(settings, spill_folder=_spill_folder(held, SpillFolder.beside(real)))
    root = database.open_file(real, now, settings)
    reopen = partial(database.reopen_file, real, settings)
    return Connection(root, real, lock, reopen, log_values=log_values)


def _spill_folder(held: ExitStack, spill: SpillFolder) -> str:
    held.callback(spill.remove)
    return str(spill.path)


@contextmanager
def _closed_after_error(connection: Connection) -> Iterator[None]:
    """Close a connection where the block fails."""
    try:
        yield
    except BaseException:
        connection.root.close()
        raise
