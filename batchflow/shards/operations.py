"""Operations over all shards: which shard carries out which part, and their reports added up."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

import pyarrow as pa

from batchflow.access import StoreClient
from batchflow.errors import (
    ConflictError,
    EngineStateError,
    InvalidOptionError,
    QueryError,
    RunNotFoundError,
)
from batchflow.operation import ControlReport, LoadReport, PruneReport, Request, ResultT
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
from batchflow.operation.which_workflow import chosen_workflow
from batchflow.shards.load_reports import loads_of_all
from batchflow.store.loading.sources import is_sql, paths_of
from batchflow.store.query.relation import Relation
from batchflow.store.schema.layout import SEQ_BITS
from batchflow.store.schema.run_id import run_not_found
from batchflow.store.schema.shard import shard_of

Clients: TypeAlias = Sequence[StoreClient]


def perform_in_all(clients: Clients, request: Request[ResultT]) -> ResultT:
    """Carry out a request in the shards that it is about, and return one result."""
    if not isinstance(request, Trigger | RequestStop):
        # Before the first one changes anything, as all are reached or none is changed.
        for client in clients:
            client._catalog.refresh()
    return cast("ResultT", HOW[type(request)](clients, request))


def _trigger(clients: Clients, request: Trigger) -> UUID:
    try:
        number = shard_of(request.foreign_id, len(clients))
    except InvalidOptionError:
        # Each shard refuses it.
        number = 1
    return clients[number - 1].perform(request)


def _trigger_many(clients: Clients, request: TriggerMany) -> LoadReport:
    workflow, clients = with_workflow(clients, request.workflow)
    request = replace(request, workflow=workflow)
    with _read_often(clients[0], request) as often:
        return loads_of_all(_in_each(clients, [often] * len(clients)))


@contextmanager
def _read_often(client: StoreClient, request: TriggerMany) -> Iterator[TriggerMany]:
    """Provide a load whose source can be read by each shard.

    Files and SQL can. Other sources are read once and kept in a file for the time of the load, so
    that a source that fails is read to its end before any shard has loaded a row.
    """
    if is_sql(request.source) or paths_of(request.source):
        yield request
        return
    # Flight, which this imports, is needed for such a source only.
    from batchflow.access.remote_store import sendable

    with tempfile.TemporaryDirectory(prefix="batchflow-") as folder:
        path = Path(folder) / "rows.arrow"
        with (
            sendable(request, client._catalog) as rows,
            pa.OSFile(str(path), "wb") as file,
            pa.ipc.new_file(file, rows.schema) as writer,
        ):
            for batch in rows:
                writer.write_batch(batch)
        with pa.memory_map(str(path)) as kept:
            yield replace(request, source=pa.ipc.open_file(kept).read_all())


def _in_each(
    clients: Clients, parts: Sequence[Request[ResultT] | None], *, dry_run: bool = False
) -> list[ResultT]:
    """Carry out the part of each shard, and return the results.

    A message on values, runs or rows is about those of one shard, so it names that shard.
    """
    results: list[ResultT] = []
    for number, (client, part) in enumerate(zip(clients, parts, strict=True), 1):
        try:
            if part is not None:
                results.append(client.perform(part))
        except (QueryError, ConflictError) as error:
            others = (
                "those before it have done their part"
                if results and not dry_run
                else "those after it weren't asked"
            )
            error.args = (f"{error} That is of shard {number} of {len(clients)}; {others}.",)
            raise
    return results


def _control(clients: Clients, request: ControlRuns) -> ControlReport:
    clients, parts = _parts_of(clients, request)
    reports = _in_each(clients, parts, dry_run=request.dry_run)
    if not reports:
        reports = [clients[0].perform(request)]
    refusals: Counter[str] = Counter()
    for report in reports:
        refusals.update(report.refusals)
    return replace(
        reports[0],
        changed=sum(report.changed for report in reports),
        refused=sum(report.refused for report in reports),
        refusals=dict(refusals.most_common()),
    )


def _parts_of(clients: Clients, request: ControlRuns) -> tuple[Clients, list[ControlRuns | None]]:
    """Return the shards, and the request of each: only with its own run ids, None without any."""
    if not request.run_ids:
        workflow, clients = with_workflow(clients, request.workflow)
        return clients, [replace(request, workflow=workflow)] * len(clients)
    wanted = set(request.run_ids)
    parts: list[ControlRuns | None] = []
    for client in clients:
        own = _having(client, request.run_ids)
        wanted -= own
        chosen = tuple(each for each in request.run_ids if each in own)
        parts.append(replace(request, run_ids=chosen) if chosen else None)
    if wanted:
        raise _not_found([each for each in request.run_ids if each in wanted])
    return clients, parts


def _having(client: StoreClient, run_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the run ids whose run a shard has."""
    found: set[UUID] = set()
    tables = client._catalog.tables_of_run(run_ids[0])
    if tables is None:
        return found
    query = f"SELECT run_id FROM {tables.runs} WHERE list_contains($seqs, seq)"
    seqs = [each.int - tables.run_id_base for each in run_ids]
    of_workflow = [seq for seq in seqs if 0 <= seq < 1 << SEQ_BITS]
    rows = Relation(client._source, query, {"seqs": of_workflow}).fetchall()
    return {run_id for (run_id,) in rows}


def _not_found(missing: Sequence[UUID]) -> RunNotFoundError:
    if len(missing) == 1:
        return run_not_found(missing[0])
    return RunNotFoundError(
        f"No shard has {len(missing)} of these runs, such as {missing[0]}; nothing was changed. "
        "Check the run ids and the path of the set."
    )


def _prune(clients: Clients, request: Prune) -> PruneReport:
    if request.workflow is not None or request.where is not None:
        workflow, clients = with_workflow(clients, request.workflow)
        request = replace(request, workflow=workflow)
    reports = _in_each(clients, [request] * len(clients), dry_run=request.dry_run)
    return PruneReport(
        runs=sum(report.runs for report in reports),
        transitions=sum(report.transitions for report in reports),
        errors=sum(report.errors for report in reports),
        bytes_before=sum(report.bytes_before for report in reports),
        bytes_after=sum(report.bytes_after for report in reports),
        rejected=sum(report.rejected for report in reports),
    )


def _request_stop(clients: Clients, request: RequestStop) -> bool:
    served = [client for client in clients if client.served]
    if not served:
        raise EngineStateError(
            "No engine has a shard open, so there is no drain to stop; use status to see the runs."
        )
    stopped = [client.perform(request) for client in served]
    return any(stopped)


def _of_one_store(clients: Clients, request: BeginExport | EndExport) -> Any:  # noqa: ARG001
    raise InvalidOptionError(
        f"{request.name}() is about one store. Ask each shard, like "
        f"stores.clients[0].{request.name}(…), or use export(since=…)."
    )


def with_workflow(clients: Clients, given: str | None) -> tuple[str, Clients]:
    """Return the name of a workflow, and the shards that have it, as engines have opened it there.

    Raises:
        WorkflowNotFoundError: No shard has it.
        InvalidOptionError: None is named, and there are several.
    """
    known = {client: client._catalog.tables(given) for client in clients}
    name = chosen_workflow(sorted({each for names in known.values() for each in names}), given)
    return name, [client for client, names in known.items() if name in names]


How: TypeAlias = Callable[[Clients, Any], Any]

HOW: Final[Mapping[type[Request[Any]], How]] = {
    Trigger: _trigger,
    TriggerMany: _trigger_many,
    Pause: _control,
    Resume: _control,
    Cancel: _control,
    Edit: _control,
    RetryRuns: _control,
    Prune: _prune,
    BeginExport: _of_one_store,
    EndExport: _of_one_store,
    RequestStop: _request_stop,
}
"""How each operation is carried out over all shards."""
