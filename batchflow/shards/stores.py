"""Several stores as one: every question and operation over all shards of a set."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID

from batchflow.access import StoreClient, connect
from batchflow.clock import SystemClock
from batchflow.definition.workflow import AnyWorkflow
from batchflow.errors import InvalidOptionError, StoreFormatError
from batchflow.export.exports import Exports
from batchflow.export.hand_over import HandOver, Parts
from batchflow.operation import ExportReport, Request, ResultT
from batchflow.operation.options import (
    foreign_id_text,
    moment_or_none,
    names_of,
    run_id_or_none,
    workflow_name,
)
from batchflow.operation.parameters import Params
from batchflow.picture import html_table
from batchflow.shards.checking import check_of_all
from batchflow.shards.creating import create_set, lay_out_in
from batchflow.shards.files import SetAddress, clients_of, is_set, pattern_of, shard_of_store
from batchflow.shards.merging import MERGES, Merged, OfOneShard
from batchflow.shards.operations import perform_in_all, with_workflow
from batchflow.shards.pattern import Pattern, is_pattern
from batchflow.shards.progress import progress_of_all
from batchflow.shards.reshard import reshard, split
from batchflow.shards.set_failures import failures_of_all
from batchflow.shards.throughput import throughput_of_all
from batchflow.shards.union import ALL, UnionSource, united
from batchflow.store import CheckReport, PlottableRelation, Relation
from batchflow.store.query.causes import Failures
from batchflow.store.query.metrics import METRICS, Sample
from batchflow.store.query.moments import Period
from batchflow.store.query.questions import Questions
from batchflow.store.schema.run_id import run_not_found
from batchflow.store.schema.shard import require_shards, shard_of

if TYPE_CHECKING:
    from batchflow.coordinator import Progress

ClassT = TypeVar("ClassT", bound=type[Any])

_MOMENTS = ("since", "until", "as_of")


def _asks_shards(stores: ClassT) -> ClassT:
    """Define the questions that are merged in one way, by the table of all questions."""
    for name, merge in MERGES.items():
        match merge:
            case Merged():
                setattr(stores, name, _merged_question(name, merge))
            case OfOneShard():
                setattr(stores, name, _question_of_one_shard(name))
            case _:
                pass
    return stores


def _merged_question(name: str, merge: Merged) -> Callable[..., Any]:
    method = getattr(Questions, name)
    signature = inspect.signature(method)

    @functools.wraps(method)
    def ask(self: Stores, *given: Any, **named: Any) -> Any:
        options = signature.bind(self, *given, **named).arguments
        del options["self"]
        return self._merged(merge, merge.ask or getattr(StoreClient, name), **options)

    return ask


def _question_of_one_shard(name: str) -> Callable[..., Any]:
    method = getattr(Questions, name)

    @functools.wraps(method)
    def ask(self: Stores, run: UUID | str | int, *given: Any, **named: Any) -> Any:
        return getattr(self.client_of(run), name)(run, *given, **named)

    return ask


@_asks_shards
class Stores(Exports):
    """A set of shards: stores that share the runs of a workflow by their foreign ids.

    It has the questions and operations of a client of one store. Each shard is reached as `connect`
    reaches a store: through its engine where one is running, and by opening the file for the call
    otherwise. Nothing is held between calls.

    An operation is carried out in one shard after the other, and each carries out its part as a
    whole. If one fails, those before it have done theirs; the operation can be repeated.

    Attributes:
        path: The path that was given.
        shards: The number of shards.

    Args:
        path: The path of the files with ``{shard}`` in place of the number, like
            ``"night-{shard}.duckdb"``; a glob that only they match; or their folder. Or a list with
            the path of each, or the address of its engine, like ``"grpc+tls://host:8815"``.
        workflows: The workflows of a new set. A set that lacks one gets it, in all shards.
        shards: The number of shards. With it and workflows, the set is created if there is none.
        token: The token that engines at such addresses demand.
        certificate: A file with the certificates (PEM) that theirs are checked against.

    Raises:
        StoreFormatError: There are no such files, some are missing, they are of several sets, or
            the set has another number of shards.
        StoreHeldError: Another process has one of them open and doesn't listen.
        EngineStateError: The set lacks a workflow, and an engine has a shard open.
        InvalidOptionError: There is no set, and no workflows are given for a new one.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *workflows: AnyWorkflow,
        shards: int | None = None,
        token: str | None = None,
        certificate: str | os.PathLike[str] | None = None,
    ) -> None:
        self._address = SetAddress(path, token, certificate)
        self.path = str(self._address)
        one, clock = self._address.path, SystemClock().now
        if shards is not None:
            require_shards(shards)
            if one is None or not is_pattern(one):
                raise InvalidOptionError(
                    f"The path {self.path!r} has to have {{shard}} in place of the number, as "
                    "shards= is given.",
                    option="path",
                )
            pattern = Pattern.of(one)
            if not pattern.found():
                create_set(pattern, shards, workflows, clock)
        elif one is not None and not is_set(one):
            raise StoreFormatError(
                f"{self.path!r} is one path; give the pattern of the files of a set, like "
                '"night-{shard}.duckdb", a glob or their folder, or use connect().'
            )
        self._clients = clients_of(self._address, shards)
        self.shards = len(self._clients)
        lay_out_in(self._clients, workflows, clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing, as nothing is held."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}: {self.shards} shards>"

    # Its shards.

    @property
    def clients(self) -> tuple[StoreClient, ...]:
        """The client of each shard, in the order of their numbers."""
        return tuple(self._clients)

    def client_of(self, run: UUID | str | int) -> StoreClient:
        """Return the client of the shard that has a run, by its run id or its foreign id.

        Raises:
            RunNotFoundError: No shard has a run with this run id.
        """
        run_id = run_id_or_none(run)
        known = False
        for client in self._clients if run_id is not None else ():
            assert run_id is not None
            tables = client._catalog.tables_of_run(run_id)
            if tables is not None:
                known = True
                query = f"SELECT 1 FROM {tables.runs} WHERE seq = $seq"
                seq = run_id.int - tables.run_id_base
                if Relation(client._source, query, {"seq": seq}).fetchall():
                    return client
        if known and run_id is not None:
            raise run_not_found(run_id)
        foreign_id = foreign_id_text(run)
        if not isinstance(foreign_id, str):
            return self._clients[0]
        return self._clients[shard_of(foreign_id, self.shards) - 1]

    @property
    def served(self) -> bool:
        """Whether an engine has one of the shards open at this moment."""
        return any(client.served for client in self._clients)

    @property
    def workflows(self) -> tuple[str, ...]:
        """The names of the workflows in the shards, sorted."""
        return tuple(sorted({name for client in self._clients for name in client.workflows}))

    # Questions that are more than one query of each shard.

    def sql(
        self,
        query: str | None = None,
        params: Params = None,
        *,
        each: str | None = None,
        then: str = ALL,
    ) -> Relation:
        """Query each shard in SQL, and then their results in the table ``shards``.

        Args:
            query: The query that each shard executes; a short form of `each`.
            params: The values of its parameters.
            each: The query that each shard executes; see `Questions.sql`.
            then: The query over all results, like ``"SELECT sum(n) FROM shards"``. Default: all
                rows of all shards.

        Raises:
            InvalidOptionError: Both ``query`` and ``each`` are given, or none.
            QueryError: As for `Questions.sql`.
        """
        text = query if each is None else each
        if text is None or (query is not None and each is not None):
            raise InvalidOptionError(
                'Give the query of each shard once, like sql(each="SELECT count(*) AS n FROM '
                'orders.runs", then="SELECT sum(n) FROM shards").',
                option="each",
            )
        parts = [client.sql(text, params) for client in self._clients]
        return Relation(UnionSource(parts, few=False), then)

    def errors(  # noqa: PLR0913 - as in `Questions`
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
        """Return the failures of steps by cause, over all shards; see `Questions.errors`."""
        name, clients = self._with_workflow(workflow)
        options: dict[str, Any] = {
            "where": where,
            "params": params,
            "since": moment_or_none(since, "since"),
            "until": moment_or_none(until, "until"),
            "by": names_of(by, "by"),
            "workflow": name,
            "tracebacks": tracebacks,
        }
        return failures_of_all(clients, cause, options)

    def throughput(
        self,
        bucket_seconds: float | None = None,
        *,
        since: datetime | timedelta | None = None,
        until: datetime | timedelta | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> PlottableRelation:
        """Return the transitions per second, over all shards; see `Questions.throughput`."""
        name, clients = self._with_workflow(workflow)
        return throughput_of_all(clients, name, bucket_seconds, Period.of(since, until))

    def explain(
        self,
        where: str,  # noqa: ARG002 - as in `Questions`
        params: Params = None,  # noqa: ARG002
        *,
        since: datetime | timedelta | None = None,  # noqa: ARG002
        until: datetime | timedelta | None = None,  # noqa: ARG002
        workflow: AnyWorkflow | str | None = None,  # noqa: ARG002
    ) -> PlottableRelation:
        """Raise InvalidOptionError: slices are searched in one store, as each shard explains.

        The runs are split by a hash, so each shard is a random sample of them.
        """
        raise InvalidOptionError(
            "explain() searches one store. Ask one shard, whose runs are a random sample of all, "
            f"by its path {self._clients[0].path!r}, or as stores.clients[0]."
        )

    def repro(
        self,
        run: UUID | str | int,
        folder: str | os.PathLike[str],
        *,
        values: bool = False,
        workflow: AnyWorkflow | str | None = None,
    ) -> Path:
        """Write a test that fails as a run did; see `Questions.repro`."""
        owner = run
        if isinstance(run, str) and run_id_or_none(run) is None:
            # A cause has its latest run in any shard.
            causes = self.errors(workflow=workflow).filter("cause = $cause", {"cause": run})
            owner = next((run_id for (run_id,) in causes.select("run_id").fetchall()), run)
        return self.client_of(owner).repro(run, folder, values=values, workflow=workflow)

    def check(self) -> CheckReport:
        """Check whether all shards are sane; see `Questions.check`."""
        return check_of_all([(client.check(), client.workflows) for client in self._clients])

    def progress(self) -> Progress | None:
        """Return how far the running drains of all shards are; None where none is running."""
        found = [client.progress() for client in self._clients]
        return progress_of_all([each for each in found if each is not None])

    # Operations.

    def perform(self, request: Request[ResultT]) -> ResultT:
        """Carry out a request in the shards that it is about; see `Operations`."""
        return perform_in_all(self._clients, request)

    def _name_of(self, workflow: AnyWorkflow | str | None) -> str:
        return self._with_workflow(workflow)[0]

    def _hand_over(self, parts: Parts, given: HandOver) -> ExportReport:
        """Hand over the runs of each shard to a folder of its own."""
        reports = []
        for number, client in enumerate(self._clients, 1):
            own = parts.within(f"shard-{number}")
            reports.append(client._hand_over(own, given))
        return ExportReport(
            table="runs",
            rows=sum(report.rows for report in reports),
            to=parts.shown,
            files=tuple(
                f"shard-{number}/{file}"
                for number, report in enumerate(reports, 1)
                for file in report.files
            ),
        )

    @classmethod
    def from_store(
        cls,
        store: str | os.PathLike[str],
        path: str | os.PathLike[str],
        *,
        shards: int,
    ) -> Stores:
        """Write the runs of one store into a new set, with the log, run ids and foreign ids.

        The store stays as it is, and no engine may have it open meanwhile.

        Args:
            store: The store's file.
            path: The path of the new files, with ``{shard}`` in place of the number.
            shards: The number of shards.

        Raises:
            StoreHeldError: Another process has the store open.
            StoreFormatError: There is no such store, it is a shard, or the new files exist.
        """
        require_shards(shards)
        pattern = Pattern.of(path)
        client = connect(store)
        if shard_of_store(client) is not None:
            raise StoreFormatError(
                f"{client.path!r} is a shard of a set, which Stores(…).reshard({shards}) rewrites."
            )
        split(Path(client.path), pattern, shards)
        return cls(path)

    def reshard(self, shards: int) -> None:
        """Rewrite the set into another number of shards, with the log, run ids and foreign ids.

        No engine may have a shard open meanwhile. The old files stay as they are until all new ones
        are complete, so the disk needs room for both. After a kill, either all files are the old
        ones or all are the new ones.

        Raises:
            InvalidOptionError: There can't be so many shards.
            StoreHeldError: Another process has a shard open.
            StoreFormatError: The shards have different versions of a workflow, or some have loaded
                a file that others haven't.
        """
        require_shards(shards)
        pattern = pattern_of(self._address, self._clients)
        reshard(pattern, [Path(client.path) for client in self._clients], shards)
        self._address = SetAddress(pattern.text)
        self._clients = clients_of(self._address, shards)
        self.shards = shards

    # The parts that all of them use.

    def _merged(
        self,
        merge: Merged,
        ask: Callable[..., Relation],
        *,
        workflow: AnyWorkflow | str | None = None,
        **options: Any,
    ) -> Relation:
        name, clients = self._with_workflow(workflow)
        # Of all shards the same moment, also if it is counted back from now.
        moments = {key: moment_or_none(options[key], key) for key in _MOMENTS if key in options}
        parts = [ask(client, **{**options, **moments}, workflow=name) for client in clients]
        return united(parts, merge.then, few=merge.few)

    def _with_workflow(
        self, workflow: AnyWorkflow | str | None
    ) -> tuple[str, Sequence[StoreClient]]:
        return with_workflow(self._clients, workflow_name(workflow))

    def _samples(self, workflow: AnyWorkflow | str | None = None) -> Mapping[str, Sequence[Sample]]:
        samples: dict[str, list[Sample]] = {name: [] for name in METRICS}
        for number, client in enumerate(self._clients, 1):
            for name, found in client._samples(workflow).items():
                samples[name] += [
                    Sample(name, {**each.labels, "shard": str(number)}, each.value)
                    for each in found
                ]
        return samples

    def _repr_html_(self) -> str:
        rows = [
            (str(number), client.path, "an engine" if client.served else "the file")
            for number, client in enumerate(self._clients, 1)
        ]
        return html_table(("shard", "store", "reached through"), rows)
