"""The store's face: one method for each thing that the layers above ask of it."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from batchflow.definition.step import Step
from batchflow.store.database import file as database
from batchflow.store.database.connection import Connection
from batchflow.store.database.instance import MEMORY, Settings
from batchflow.store.database.lock import StoreLock
from batchflow.store.database.spill import SpillFolder
from batchflow.store.loading.load import load
from batchflow.store.loading.load_options import LoadOptions
from batchflow.store.loading.load_report import LoadReport, Placed
from batchflow.store.loading.trigger import Trigger
from batchflow.store.query import queries
from batchflow.store.query.local_source import LocalSource
from batchflow.store.runs import lifecycle
from batchflow.store.runs.arrival import Arrival, arrival
from batchflow.store.runs.backlog_counts import BacklogCounts, count_backlog, count_retries
from batchflow.store.runs.claimable import claim_runs
from batchflow.store.runs.commit import CommitSummary, StepCommit, commit_steps
from batchflow.store.runs.lifecycle import CANCEL, PAUSE, RESUME, VERBS, Move, Moved, Verb
from batchflow.store.runs.prune import Pruned, PruneOptions, prune
from batchflow.store.runs.suspect_runs import suspects
from batchflow.store.schema.layout import AnyWorkflow, Layout
from batchflow.store.schema.migrate import lay_out
from batchflow.store.schema.run_id import is_of, run_not_found, seq_of
from batchflow.store.schema.tables import Tables
from batchflow.store.sql_steps import sql_step
from batchflow.store.sql_steps.sql_task import SqlTask

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Store:
    """One DuckDB file with the runs of one or more workflows; safe to use from several threads."""

    def __init__(
        self,
        path: str,
        connection: Connection,
        held: ExitStack,
        layouts: Mapping[str, Layout],
    ) -> None:
        self.path = path
        self._connection = connection
        self._held = held
        self._layouts = layouts
        self._local = LocalSource(connection)
        self._triggers = {name: Trigger(connection, layout) for name, layout in layouts.items()}

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        workflows: Sequence[AnyWorkflow],
        *,
        clock: Callable[[], datetime],
        memory_limit: str | None = None,
        log_values: bool = False,
    ) -> Store:
        """Open the store at `path`, or create it; ``":memory:"`` keeps it in this process.

        Args:
            path: the file; a symlink is followed.
            workflows: each is checked, and its tables are created or migrated.
            clock: answers with the present time, aware.
            memory_limit: the most that DuckDB may take, like "4GB".
            log_values: whether messages may show values of objects.

        Raises:
            DefinitionError: a workflow has problems; the expressions of SQL steps are among them.
            StoreHeldError: another process, or this one, has it open.
            StoreFormatError: the file is no store; it is left as it was.
            MigrationError: a workflow changed in a way that the store can't follow.
        """
        for workflow in workflows:
            workflow.check()
        name = os.fspath(path)
        now = clock()
        schemas = frozenset(workflow.name.lower() for workflow in workflows)
        settings = Settings(schemas=schemas, memory_limit=memory_limit)
        with ExitStack() as held:
            if name == MEMORY:
                settings = replace(settings, spill_folder=_held(held, SpillFolder.temporary()))
                connection = Connection(database.open_memory(now, settings), log_values=log_values)
                return cls._laid_out(name, connection, held, workflows, now)
            real = Path(os.path.realpath(name))
            held.callback(StoreLock.acquire(real, now).release)
            settings = replace(settings, spill_folder=_held(held, SpillFolder.beside(real)))
            root = database.open_file(real, now, settings)
            connection = Connection(
                root, real, partial(database.reopen_file, real, settings), log_values=log_values
            )
            return cls._laid_out(str(real), connection, held, workflows, now)

    @classmethod
    def _laid_out(
        cls,
        path: str,
        connection: Connection,
        held: ExitStack,
        workflows: Sequence[AnyWorkflow],
        now: datetime,
    ) -> Store:
        try:
            with connection.write() as cursor:
                layouts = lay_out(cursor, workflows)
                sql_step.refuse_unbindable(cursor, layouts.values(), now)
            connection.lock_settings()
        except BaseException:
            connection.root.close()
            raise
        return cls(path, connection, held.pop_all(), layouts)

    def close(self) -> None:
        """Close the store and give its lock back; a second call does nothing."""
        self._connection.close()
        if not self._connection.inherited:
            self._held.close()

    @property
    def inherited(self) -> bool:
        """Whether another process opened it, and this one is its forked child."""
        return self._connection.inherited

    def run_id_base(self, workflow: AnyWorkflow) -> int:
        """Return the UUID, as a number, to which a run's seq is added for its run id."""
        return self._layout(workflow).run_id_base

    # Putting runs in.

    def trigger(
        self,
        workflow: AnyWorkflow,
        foreign_id: str,
        given: Any,
        at: enum.Enum | str | None,
        now: datetime,
    ) -> Placed:
        """Trigger a run of one object; see `Trigger`."""
        return self._triggers[workflow.name](foreign_id, given, at, now)

    def load(
        self, workflow: AnyWorkflow, source: Any, options: LoadOptions, now: datetime
    ) -> LoadReport:
        """Trigger a run for each row of a source, in one transaction; see `load`."""
        return load(self._connection, self._layout(workflow), source, options, now)

    # The coordinator's part.

    def backlog(self, workflow: AnyWorkflow, now: datetime) -> BacklogCounts:
        """Count the runs that a step may be given now, by status and bucket."""
        with self._connection.reading() as cursor:
            return count_backlog(cursor, self._layout(workflow), now)

    def waiting_for_retry(self, workflow: AnyWorkflow) -> int:
        """Count the runs that wait for another attempt."""
        with self._connection.reading() as cursor:
            return count_retries(cursor, self._layout(workflow))

    def suspects(self, workflow: AnyWorkflow) -> pa.Table:
        """Return ``status`` (uint8) and ``seq`` of runs that ended a worker where they stand."""
        with self._connection.reading() as cursor:
            return suspects(cursor, self._layout(workflow))

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
        with self._connection.reading() as cursor:
            return claim_runs(cursor, self._layout(workflow), from_code, seqs, now, fields)

    def commit(self, commits: Sequence[StepCommit], now: datetime) -> list[CommitSummary]:
        """Store results in one transaction, but for runs that were changed since their claim.

        Raises:
            CommitError: nothing was stored; smaller commits may be.
            DiskFullError, StoreError: no other commit would be stored; this one is whole, or isn't.
        """
        return commit_steps(self._connection, self._layouts, commits, now)

    def commit_sql_step(
        self,
        workflow: AnyWorkflow,
        step: Step,
        first_seq: int,
        last_seq: int,
        now: datetime,
        random: np.random.Generator,
    ) -> CommitSummary:
        """Execute a SQL step for the claimable runs with these seqs, in one transaction.

        `random` is where the jitter of the waits of failed runs comes from.

        Raises:
            CommitError, DiskFullError, StoreError: as for `commit`.
        """
        log_values = self._connection.log_values
        task = SqlTask(self._layout(workflow), step, first_seq, last_seq, now, log_values)
        return sql_step.commit_sql_step(self._connection, task, random)

    # What people do to runs.

    def pause(
        self,
        workflow: AnyWorkflow,
        *,
        where: str | None,
        run_ids: Sequence[UUID] | None,
        reason: str | None,
        now: datetime,
    ) -> Moved:
        """Pause the runs chosen by one of both; see `lifecycle.move`."""
        chosen = lifecycle.selection(where, run_ids)
        return self._move(workflow, PAUSE, chosen, reason, now)

    def resume(
        self,
        workflow: AnyWorkflow,
        *,
        where: str | None,
        run_ids: Sequence[UUID] | None,
        reason: str | None,
        now: datetime,
    ) -> Moved:
        """Let paused runs go on where they stand, as on their first attempt and due at once."""
        chosen = lifecycle.selection(where, run_ids)
        return self._move(workflow, RESUME, chosen, reason, now)

    def cancel(
        self,
        workflow: AnyWorkflow,
        *,
        where: str | None,
        run_ids: Sequence[UUID] | None,
        reason: str | None,
        now: datetime,
    ) -> Moved:
        """End the chosen runs where they stand, for good."""
        chosen = lifecycle.selection(where, run_ids)
        return self._move(workflow, CANCEL, chosen, reason, now)

    def _move(
        self,
        workflow: AnyWorkflow,
        verb: Verb,
        chosen: str | list[UUID],
        reason: str | None,
        now: datetime,
    ) -> Moved:
        wanted = Move(verb, reason, now, recorded=workflow.record_transitions)
        return lifecycle.move(self._connection, self._layout(workflow), wanted, chosen)

    def hold(
        self,
        verb: str,
        name: str,
        *,
        where: str | None,
        run_ids: Sequence[UUID] | None,
        reason: str | None,
        now: datetime,
    ) -> Moved:
        """Pause, resume or cancel runs of the workflow named, without its definition."""
        chosen = lifecycle.selection(where, run_ids)
        return lifecycle.move_stored(self._connection, name, VERBS[verb], chosen, reason, now)

    def prune(self, names: Sequence[str] | None, options: PruneOptions) -> Pruned:
        """Remove finished runs of the workflows named, or of all in the store; see `prune`.

        Their definitions aren't needed.
        """
        return prune(self._connection, names, options)

    # What people ask.

    @property
    def source(self) -> LocalSource:
        """Where queries are answered."""
        return self._local

    def tables(self, workflow: AnyWorkflow) -> Tables:
        """Return where the runs of a workflow lie."""
        return self._layout(workflow)

    def get(self, workflow: AnyWorkflow, run_id: UUID) -> dict[str, Any]:
        """Return a run's columns by name; those of the object as the values that a step sees."""
        with self._connection.reading() as cursor:
            return queries.get(cursor, self._layout(workflow), run_id)

    def arrival(self, workflow: AnyWorkflow, run_id: UUID, code: int) -> Arrival:
        """Return where a run stands, and whether it is or was at the status with this code."""
        layout = self._layout(workflow)
        seq = seq_of(layout, run_id)
        with self._connection.reading() as cursor:
            return arrival(cursor, layout, seq, code)

    def workflow_of(self, run_id: UUID) -> AnyWorkflow:
        """Return the workflow whose runs have ids like this one; it may be of no run all the same.

        Raises:
            RunNotFoundError: no workflow that is open has.
        """
        for layout in self._layouts.values():
            if is_of(layout, run_id):
                return layout.workflow
        raise run_not_found(run_id)

    def _layout(self, workflow: AnyWorkflow) -> Layout:
        return self._layouts[workflow.name]


def _held(held: ExitStack, spill: SpillFolder) -> str:
    held.callback(spill.remove)
    return str(spill.path)
