"""Every operation on the runs of a store, as one interface."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from batchflow.definition.workflow import AnyWorkflow
from batchflow.operation.load_report import LoadReport
from batchflow.operation.options import (
    aware_moment,
    foreign_id_text,
    reason_text,
    run_ids_of,
    whole_number,
    workflow_name,
)
from batchflow.operation.parameters import Params, bound_values
from batchflow.operation.public_methods import names_its_methods
from batchflow.operation.reports import ControlReport, ExportPart, PruneReport
from batchflow.operation.request import Request, ResultT
from batchflow.operation.requests import (
    BeginExport,
    Cancel,
    ConflictChoice,
    ControlRuns,
    Edit,
    EndExport,
    Pause,
    Prune,
    RequestStop,
    Resume,
    RetryRuns,
    SkipOrError,
    Trigger,
    TriggerMany,
)

ControlT = TypeVar("ControlT", bound=ControlRuns)


@names_its_methods
class Operations(ABC):
    """The operations on the runs of a store, wherever it is open.

    Each method makes one request, which checks the options here, and has `perform` carry it out:
    in this process, in the process that has the store open, or by opening the file for the call.

    A workflow, or its name, may be left out where there is only one. Where a predicate chooses
    runs, it is SQL over the columns of ``runs``; ``params`` are bound to its ``?`` or ``$name``,
    also NumPy's scalars and members of enums. With ``dry_run`` runs are counted and not changed.

    Raises:
        InvalidOptionError: An option has a value that isn't allowed.
        WorkflowNotFoundError: There is no such workflow.
        QueryError: A predicate or an expression can't be executed.
        RunNotFoundError: There are no runs with some of the run ids; nothing is changed.
        StoreHeldError: Another process has the store open and doesn't carry out requests.
    """

    @abstractmethod
    def perform(self, request: Request[ResultT]) -> ResultT:
        """Carry out a request and return its result."""

    def trigger(
        self,
        foreign_id: str | int,
        object: Any,
        *,
        at: enum.Enum | str | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> UUID:
        """Start a run of one record and return its run id.

        Args:
            foreign_id: Your own key of the record, a text or an integer; it is stored as text.
            object: An instance of the workflow's object type, or a mapping of its fields' values.
            at: The status to begin at; may be left out where there is one starting point.
            workflow: The workflow; may be left out where the object's type identifies it.

        Raises:
            ConflictError: An unfinished run has this foreign id.
            InvalidRowsError: A field's value doesn't fit its type.
        """
        request = Trigger(
            foreign_id=foreign_id_text(foreign_id),
            object=object,
            at=at,
            workflow=workflow_name(workflow),
        )
        return self.perform(request)

    def trigger_many(  # noqa: PLR0913 - each is an option of its own, as on the command line
        self,
        source: Any,
        *,
        foreign_id: str | None = None,
        at: enum.Enum | str | None = None,
        workflow: AnyWorkflow | str | None = None,
        on_conflict: ConflictChoice = "skip",
        on_invalid: SkipOrError = "error",
        strict: bool = False,
        again: bool = False,
        once: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> LoadReport:
        """Start a run for each row of a source, all in one transaction.

        Each file is entered in a ledger. A file is skipped if its content was loaded into the
        workflow before, from whatever path.

        Args:
            source: A path, a glob or a URL of Parquet, CSV or JSON files, an Arrow table or
                reader, a pandas or Polars frame, a DuckDB relation, SQL text, or an iterable of
                objects. SQL text reads the store's tables or files, but not both at once. Where
                another process has the store open, that process reads files and executes SQL text.
            foreign_id: The source's column with your own key of a record.
            at: The status to begin at; may be left out where there is one starting point.
            workflow: The workflow; may be left out where there is only one.
            on_conflict: What to do with rows whose foreign id has an unfinished run, or comes
                twice in the source: ``"skip"`` leaves them out and counts them, ``"update"``
                replaces the object of a run that no drain has claimed, ``"error"`` loads nothing
                and raises.
            on_invalid: What to do with rows that don't fit the fields' types: ``"error"`` loads
                nothing and raises, ``"skip"`` leaves them out and counts them.
            strict: Whether a source with columns that are no fields is refused.
            again: Whether files are loaded even if their content was loaded before.
            once: Whether rows are skipped if their foreign id was ever loaded into the workflow,
                also if its run has finished or was pruned.
            storage_options: What fsspec takes for the URLs of the source, such as credentials.
                Nothing keeps them or shows them. Default: None, what the environment has.

        Raises:
            SourceError: The source can't be read, lacks a column, or has one twice.
            InvalidRowsError: Rows don't fit, and ``on_invalid`` is ``"error"``.
            ConflictError: Foreign ids conflict, and ``on_conflict`` is ``"error"``.
        """
        request = TriggerMany(
            source=source,
            foreign_id=foreign_id,
            at=at,
            workflow=workflow_name(workflow),
            on_conflict=on_conflict,
            on_invalid=on_invalid,
            strict=strict,
            again=again,
            once=once,
            storage_options=storage_options,
        )
        return self.perform(request)

    def pause(
        self,
        where: str | None = None,
        params: Params = None,
        *,
        run_ids: Sequence[UUID | str] | None = None,
        reason: str = "paused by hand",
        workflow: AnyWorkflow | str | None = None,
        dry_run: bool = False,
    ) -> ControlReport:
        """Pause the runs that a predicate or a list of run ids chooses."""
        return self.perform(_control(Pause, where, params, run_ids, reason, workflow, dry_run))

    def resume(
        self,
        where: str | None = None,
        params: Params = None,
        *,
        run_ids: Sequence[UUID | str] | None = None,
        reason: str = "resumed by hand",
        workflow: AnyWorkflow | str | None = None,
        dry_run: bool = False,
    ) -> ControlReport:
        """Let paused runs continue at their status, on their first attempt and due at once."""
        return self.perform(_control(Resume, where, params, run_ids, reason, workflow, dry_run))

    def cancel(
        self,
        where: str | None = None,
        params: Params = None,
        *,
        run_ids: Sequence[UUID | str] | None = None,
        reason: str = "cancelled by hand",
        workflow: AnyWorkflow | str | None = None,
        dry_run: bool = False,
    ) -> ControlReport:
        """End runs at their status, for good."""
        return self.perform(_control(Cancel, where, params, run_ids, reason, workflow, dry_run))

    def edit(
        self,
        where: str | None = None,
        params: Params = None,
        *,
        set: Mapping[str, str],  # noqa: A002 - SQL's word, as in Workflow.sql_step
        run_ids: Sequence[UUID | str] | None = None,
        reason: str = "edited by hand",
        workflow: AnyWorkflow | str | None = None,
        dry_run: bool = False,
    ) -> ControlReport:
        """Set fields of runs to SQL expressions; status and run state stay as they are.

        A step that is executing for a run meanwhile is executed again on the edited object.

        Args:
            where: The predicate that chooses runs.
            params: The values of the predicate's parameters.
            set: For each field, the SQL expression of its value over the columns of ``runs``, like
                ``{"country": "upper(country)"}``. All of them read the values before the edit.
            run_ids: The ids of the runs, instead of ``where``.
            reason: Why, for the log.
            workflow: The workflow; may be left out where there is only one.
            dry_run: Count the runs and change nothing.

        Raises:
            InvalidOptionError: The workflow has no such field.
            QueryError: An expression can't be executed for one of the runs, or its value doesn't
                fit the field; nothing is changed.
        """
        return self.perform(
            Edit(
                where=where,
                params=bound_values(params),
                set=set,
                run_ids=run_ids_of(run_ids),
                reason=reason_text(reason),
                workflow=workflow_name(workflow),
                dry_run=dry_run,
            )
        )

    def retry(  # noqa: PLR0913 - each is an option of its own, as on the command line
        self,
        where: str | None = None,
        params: Params = None,
        *,
        at: enum.Enum | str | None = None,
        cause: str | None = None,
        run_ids: Sequence[UUID | str] | None = None,
        reason: str = "retried by hand",
        workflow: AnyWorkflow | str | None = None,
        dry_run: bool = False,
    ) -> ControlReport:
        """Put runs back that are paused, wait for a retry, were cancelled or are completed.

        They continue at their status, or at another one, on their first attempt and due at once.
        Each stays the same run, with its id, its history and its object. These runs are refused,
        and counted in `ControlReport.refusals`: those that a step is executing or that wait for
        their first attempt, those that would be at a status without a step, those whose object was
        erased, and finished ones whose foreign id has another unfinished run. Of several finished
        runs with a foreign id, the latest is put back.

        Args:
            where: The predicate that chooses runs.
            params: The values of the predicate's parameters.
            at: The status where they continue, which has a step. Default: None, their own.
            cause: The cause of failures, as `errors` has it, at which the runs stand now. With
                ``where``, only those that it chooses as well.
            run_ids: The ids of the runs, instead of ``where``.
            reason: Why, for the log.
            workflow: The workflow; may be left out where there is only one.
            dry_run: Count the runs and change nothing.

        Raises:
            DefinitionError: The workflow has no such status.
        """
        return self.perform(
            RetryRuns(
                where=where,
                params=bound_values(params),
                at=at,
                cause=cause,
                run_ids=run_ids_of(run_ids),
                reason=reason_text(reason),
                workflow=workflow_name(workflow),
                dry_run=dry_run,
            )
        )

    def prune(
        self,
        finished_before: timedelta | datetime,
        where: str | None = None,
        params: Params = None,
        *,
        workflow: AnyWorkflow | str | None = None,
        forget: bool = False,
        dry_run: bool = False,
    ) -> PruneReport:
        """Remove runs that are completed or cancelled, with their transitions and errors.

        Without ``where``, rejected rows of loads that are as old are removed, too.

        Each workflow's runs are removed in one transaction: all of them, or none. The file uses
        their space again. A drain may continue meanwhile; its commits wait.

        Args:
            finished_before: Remove the runs that finished before this moment (without a time zone:
                in local time), or at least so long ago.
            where: Of these, remove those that a predicate chooses.
            params: The values of the predicate's parameters.
            workflow: The workflow; all by default. With ``where`` it may be left out only where
                there is one workflow.
            forget: Whether nothing stays of the runs' foreign ids. By default a hash of 16 bytes
                stays of each, so that loads with ``once`` skip them.
            dry_run: Count the runs and remove nothing.

        Raises:
            CommitError: DuckDB lacks the memory to remove so many runs at once; nothing of that
                workflow was removed. Open the store again before you remove fewer.
        """
        request = Prune(
            finished_before=aware_moment(finished_before, "finished_before"),
            where=where,
            params=bound_values(params),
            workflow=workflow_name(workflow),
            forget=forget,
            dry_run=dry_run,
        )
        return self.perform(request)

    def begin_export(
        self,
        since: str,
        where: str | None = None,
        params: Params = None,
        *,
        to: str,
        replace: bool = False,
        workflow: AnyWorkflow | str | None = None,
    ) -> ExportPart:
        """Choose the finished runs that a hand-over has to write next, and store the choice.

        These are the runs whose present version is in none of its parts. Until `end_export` is
        called with the part's number, the same part is returned again.

        Args:
            since: The name of the hand-over, such as ``"nightly"``.
            where: Of the finished runs, only those that a predicate chooses.
            params: The values of the predicate's parameters.
            to: Where the runs go. A part that isn't ended has to be repeated there.
            replace: Whether a part that was begun for another destination goes to this one.
            workflow: The workflow; may be left out where there is only one.
        """
        return self.perform(
            BeginExport(
                since=since,
                to=to,
                replace=replace,
                where=where,
                params=bound_values(params),
                workflow=workflow_name(workflow),
            )
        )

    def end_export(self, number: int) -> bool:
        """Record that a part of a hand-over was written; return whether it wasn't recorded yet."""
        return self.perform(EndExport(number=whole_number(number, "number")))

    def request_stop(self) -> bool:
        """Ask the drain that is running to stop, and return whether one is running.

        Chunks in flight may finish within the engine's ``grace_seconds``. The method doesn't wait
        for the drain's end.
        """
        return self.perform(RequestStop())


def _control(
    kind: type[ControlT],
    where: str | None,
    params: Params,
    run_ids: Sequence[UUID | str] | None,
    reason: str,
    workflow: AnyWorkflow | str | None,
    dry_run: bool,
) -> ControlT:
    return kind(
        where=where,
        params=bound_values(params),
        run_ids=run_ids_of(run_ids),
        reason=reason_text(reason),
        workflow=workflow_name(workflow),
        dry_run=dry_run,
    )
