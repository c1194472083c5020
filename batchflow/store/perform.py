"""How each operation is carried out in a store that is open in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import UUID

from batchflow.errors import EngineStateError
from batchflow.operation import ControlReport, ExportPart, LoadReport, PruneReport, Request, ResultT
from batchflow.operation.requests import (
    BeginExport,
    Cancel,
    ControlRuns,
    Edit,
    EndExport,
    Pause,
    Prune,
    RequestStop,
    Resume,
    RetryRuns,
    Trigger,
    TriggerMany,
)
from batchflow.operation.which_workflow import chosen_workflow, workflow_of_object
from batchflow.store.changes import RunsAdded, RunsChanged, RunsPutBack, RunsRemoved, StoreChange
from batchflow.store.database.connection import Connection
from batchflow.store.database.ctrl_c import CtrlC
from batchflow.store.database.thread_work import ThreadWork
from batchflow.store.loading.load import load
from batchflow.store.loading.sources import is_sql, paths_of
from batchflow.store.loading.trigger import SingleTrigger
from batchflow.store.query.catalog import tables_with
from batchflow.store.query.interruption import interruptible
from batchflow.store.runs.claimed_runs import ClaimedRuns
from batchflow.store.runs.control import (
    RunChange,
    cancel_change,
    change_runs,
    pause_change,
    resume_change,
)
from batchflow.store.runs.edit import edit_runs
from batchflow.store.runs.exported import begin_export, end_export
from batchflow.store.runs.prune import prune
from batchflow.store.runs.retry import retry_runs
from batchflow.store.schema.layout import Layout
from batchflow.store.schema.tables import Tables


@dataclass(frozen=True)
class OpenStore:
    """The parts of an open store that operations use.

    Attributes:
        connection: To its database.
        tables: Where the tables of each workflow are.
        layouts: The same, of the workflows whose definition is known.
        triggers: Start single runs of these workflows.
        claimed: The runs that a drain has claimed.
        report: Called with each change after it was committed.
    """

    connection: Connection
    tables: Mapping[str, Tables]
    layouts: Mapping[str, Layout]
    triggers: Mapping[str, SingleTrigger]
    claimed: ClaimedRuns
    report: Callable[[StoreChange], None]


def perform(store: OpenStore, request: Request[ResultT], now: datetime) -> ResultT:
    """Carry out a request and return its result; see `Operations`.

    Ctrl-C interrupts SQL of the caller and loads of files within a second, and then nothing is
    changed.
    """
    work = ThreadWork()

    def carry_out() -> ResultT:
        with store.connection.doing(work):
            result: ResultT = _HOW[type(request)](store, request, now)
        return result

    with CtrlC():
        if not (evaluates_sql(request) or reads_files(request)):
            return carry_out()
        return interruptible(carry_out, work.interrupt)


def evaluates_sql(request: Request[Any]) -> bool:
    """Return whether a request has SQL of its caller, which may take any time."""
    match request:
        case Edit():
            return True
        case ControlRuns() | Prune() | BeginExport():
            return request.where is not None
        case TriggerMany():
            return is_sql(request.source)
        case _:
            return False


def reads_files(request: Request[Any]) -> bool:
    """Return whether a request loads files, which takes as long as they are large."""
    if not isinstance(request, TriggerMany) or is_sql(request.source):
        return False
    return bool(paths_of(request.source))


def _trigger(store: OpenStore, request: Trigger, now: datetime) -> UUID:
    workflows = {name: layout.workflow for name, layout in store.layouts.items()}
    name = workflow_of_object(workflows, request.object, request.workflow)
    added = store.triggers[name](request.foreign_id, request.object, request.at, now)
    store.report(added)
    return UUID(int=store.layouts[name].run_id_base + added.first_seq)


def _trigger_many(store: OpenStore, request: TriggerMany, now: datetime) -> LoadReport:
    layout = store.layouts[chosen_workflow(store.layouts, request.workflow)]
    report = load(store.connection, layout, request, now, store.claimed)
    if report.loaded:
        added = RunsAdded(layout.name, report.code, report.first_seq, report.last_seq)
        store.report(added)
    if report.updated:
        store.report(RunsChanged(layout.name))
    return report


def _control(
    change_of: Callable[[Any], RunChange], store: OpenStore, request: ControlRuns, now: datetime
) -> ControlReport:
    tables = store.tables[_workflow_of(store, request)]
    report = change_runs(store.connection, tables, request, change_of(request), now)
    if not request.dry_run:
        store.report(RunsChanged(tables.name))
    return report


def _workflow_of(store: OpenStore, request: ControlRuns) -> str:
    """Return the workflow that is named, the only one, or that of the run ids."""
    if request.workflow is None and request.run_ids:
        tables = tables_with(store.tables, request.run_ids[0])
        if tables is not None:
            return tables.name
    return chosen_workflow(store.tables, request.workflow)


def _edit(store: OpenStore, request: Edit, now: datetime) -> ControlReport:
    layout = store.layouts[chosen_workflow(store.layouts, _workflow_of(store, request))]
    report = edit_runs(store.connection, layout, request, now)
    if not request.dry_run:
        store.report(RunsChanged(layout.name))
    return report


def _retry(store: OpenStore, request: RetryRuns, now: datetime) -> ControlReport:
    layout = store.layouts[chosen_workflow(store.layouts, _workflow_of(store, request))]
    forget = store.triggers[layout.name].forget_unfinished
    report, completed = retry_runs(store.connection, layout, request, store.claimed, forget, now)
    if not request.dry_run:
        store.report(RunsPutBack(layout.name, completed))
    return report


def _prune(store: OpenStore, request: Prune, now: datetime) -> PruneReport:
    names = list(store.tables)
    if request.workflow is not None or request.where is not None:
        names = [chosen_workflow(names, request.workflow)]
    report = prune(store.connection, [store.tables[name] for name in names], request, now)
    for name in names if not request.dry_run else ():
        store.report(RunsRemoved(name))
    return report


def _begin_export(store: OpenStore, request: BeginExport, now: datetime) -> ExportPart:
    tables = store.tables[chosen_workflow(store.tables, request.workflow)]
    return begin_export(store.connection, tables, request, now)


def _end_export(store: OpenStore, request: EndExport, now: datetime) -> bool:
    return end_export(store.connection, request, now)


def _request_stop(store: OpenStore, request: RequestStop, now: datetime) -> bool:  # noqa: ARG001
    raise EngineStateError(
        "No engine has the store open, so there is no drain to stop; use status to see its runs."
    )


_How: TypeAlias = Callable[[OpenStore, Any, datetime], Any]

_HOW: Final[Mapping[type[Request[Any]], _How]] = {
    Trigger: _trigger,
    TriggerMany: _trigger_many,
    Pause: partial(_control, pause_change),
    Resume: partial(_control, resume_change),
    Cancel: partial(_control, cancel_change),
    Edit: _edit,
    RetryRuns: _retry,
    Prune: _prune,
    BeginExport: _begin_export,
    EndExport: _end_export,
    RequestStop: _request_stop,
}
