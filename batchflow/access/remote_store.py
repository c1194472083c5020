"""A store that an engine has open: the engine carries out each call, through its socket."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, cast

import duckdb
import pyarrow as pa
from pyarrow import flight

from batchflow.access.wire import END_OF_ROWS, columns_of, error_of_engine, packed_query
from batchflow.errors import InvalidOptionError
from batchflow.operation import Request, ResultT
from batchflow.operation.json_form import from_json
from batchflow.operation.parameters import Params
from batchflow.operation.requests import Trigger, TriggerMany
from batchflow.operation.which_workflow import chosen_workflow, workflow_of_object
from batchflow.store.database.instance import Cursor, in_memory
from batchflow.store.loading.source_arrow import arrow_of, offers_arrow
from batchflow.store.loading.source_errors import translated
from batchflow.store.loading.source_objects import ObjectStream
from batchflow.store.loading.sources import is_sql, iterable_of, paths_of
from batchflow.store.loading.trigger import object_row
from batchflow.store.perform import evaluates_sql, reads_files
from batchflow.store.query.interruption import interruptible
from batchflow.store.query.source import Columns, Rows
from batchflow.store.schema.layout import quote
from batchflow.store.urls.url import is_url, local_path

if TYPE_CHECKING:
    from batchflow.coordinator import Progress
    from batchflow.store.query.catalog import Catalog

_PLAIN: Final = {
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "VARCHAR", "DOUBLE"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
}


class RemoteStore:
    """Connects to the engine for each call.

    Args:
        path: The store's file, or the address of its engine, for messages.
        location: Returns the address to connect to, as Flight takes it, within a block.
        token: The token that an engine on a network demands.
        certificate: The certificates (PEM) that its own is checked against.
    """

    def __init__(
        self,
        path: str,
        location: Callable[[], AbstractContextManager[str]],
        token: str | None = None,
        certificate: bytes | None = None,
    ) -> None:
        self._path = path
        self._location = location
        self._certificate = certificate
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        self._options = flight.FlightCallOptions(headers=headers)

    @contextmanager
    def rows(self, query: str, params: Params) -> Iterator[Rows]:
        """Execute a query; see `Source`."""
        with self._rows(query, params, _new_name()) as rows:
            yield rows

    def read(self, query: str, params: Params, action: Callable[[Rows], ResultT]) -> ResultT:
        """Execute a query and return what `action` makes of its rows; see `Source`."""
        name = _new_name()

        def read() -> ResultT:
            with self._rows(query, params, name) as rows:
                return action(rows)

        return interruptible(read, partial(self._action, "cancel", name))

    @contextmanager
    def _rows(self, query: str, params: Params, name: bytes) -> Iterator[Rows]:
        with self._connected() as client:
            ticket = flight.Ticket(packed_query(query, params, name))
            cancel = partial(self._action, "cancel", name)
            stream = interruptible(partial(client.do_get, ticket, self._options), cancel)
            yield RemoteRows(stream, self._instance, cancel)

    def describe(self, query: str, params: Params) -> Columns:
        """Return the columns of a query; see `Source`."""
        name = _new_name()
        packed = packed_query(query, params, name)
        described = interruptible(
            partial(self._action, "describe", packed), partial(self._action, "cancel", name)
        )
        return Columns(tuple(described["names"]), tuple(described["types"]))

    def perform(self, request: Request[ResultT], catalog: Catalog) -> ResultT:
        """Send an operation to the engine and return its result."""
        match request:
            case Trigger():
                result = self._trigger(request, catalog)
            case TriggerMany() if is_sql(request.source):
                result = self._act(request, source=request.source)
            case TriggerMany() if paths := paths_of(request.source):
                _refuse_storage_options(request)
                result = self._act(request, source=[_absolute(path) for path in paths])
            case TriggerMany():
                with sendable(request, catalog) as rows:
                    result = self._put(request, rows)
            case _:
                result = self._act(request)
        return cast("ResultT", from_json(request.result_type, result))

    def progress(self) -> Progress | None:
        """Return how far the engine's drain is; None where none is running."""
        from batchflow.coordinator import Progress

        progress: Progress | None = from_json(Progress | None, self._action("progress", b"{}"))
        return progress

    def _trigger(self, request: Trigger, catalog: Catalog) -> Any:
        workflows = {name: catalog.definition(name) for name in catalog.tables(request.workflow)}
        name = workflow_of_object(workflows, request.object, request.workflow)
        row = object_row(workflows[name], request.object)
        return self._put(replace(request, workflow=name), row.to_reader())

    def _act(self, request: Request[Any], **apart: Any) -> Any:
        name = _new_name()
        call = {"operation": request.name, "options": request.to_json(), "name": name.decode()}
        perform = partial(self._action, "perform", json.dumps({**call, **apart}).encode())
        if not (evaluates_sql(request) or reads_files(request)):
            return perform()
        return interruptible(perform, partial(self._action, "cancel", name))

    def _put(self, request: Request[Any], rows: pa.RecordBatchReader) -> Any:
        command = {"operation": request.name, "options": request.to_json()}
        descriptor = flight.FlightDescriptor.for_command(json.dumps(command).encode())
        with self._connected() as client:
            writer, results = client.do_put(descriptor, rows.schema, self._options)
            try:
                for batch in rows:
                    writer.write_batch(batch)
                writer.write_metadata(END_OF_ROWS)
                writer.done_writing()
                result = results.read()
            except BaseException:
                # Without the mark at the end, the engine takes the rows for incomplete.
                with suppress(flight.FlightError, pa.ArrowException):
                    writer.close()
                raise
            writer.close()
        return json.loads(result.to_pybytes())

    def _action(self, name: str, body: bytes) -> Any:
        with self._connected() as client:
            [result] = client.do_action(flight.Action(name, body), self._options)
        return json.loads(result.body.to_pybytes())

    @contextmanager
    def _connected(self) -> Iterator[flight.FlightClient]:
        """Connect for one call, and raise what the engine raised."""
        try:
            with (
                self._location() as location,
                closing(flight.FlightClient(location, tls_root_certs=self._certificate)) as client,
            ):
                yield client
        except (flight.FlightError, pa.ArrowException) as error:
            raise error_of_engine(error, self._path) from None

    @cached_property
    def _instance(self) -> Cursor:
        # Where results become relations, as they were in the engine's own DuckDB.
        return in_memory()


class RemoteRows:
    """The rows of a query that an engine executes."""

    def __init__(
        self, stream: flight.FlightStreamReader, instance: Cursor, cancel: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._instance = instance
        self._cancel = cancel

    def interrupt(self) -> None:
        """End the query's execution in the engine."""
        self._cancel()

    @cached_property
    def columns(self) -> Columns:
        """Return the columns."""
        return columns_of(self._stream.schema)

    def relation(self) -> duckdb.DuckDBPyRelation:
        """Return the rows as a relation of DuckDB's."""
        relation = self._instance.cursor().from_arrow(self._table)
        names = [quote(name) for name in self.columns.names]
        if len(set(names)) < len(names):
            return relation
        # DuckDB takes Arrow's dictionaries, which its own ENUMs become, for plain text.
        return relation.select(
            ", ".join(
                f"{name}::{kind} AS {name}" if kind.startswith("ENUM") else name
                for name, kind in zip(names, self.columns.types, strict=True)
            )
        )

    def tuples(self) -> list[tuple[Any, ...]]:
        """Return the rows as Python's values."""
        if not all(kind in _PLAIN or kind.startswith("ENUM(") for kind in self.columns.types):
            return self.relation().fetchall()
        # Arrow and DuckDB turn these into the same values, and Arrow takes a third of the time.
        return list(zip(*(column.to_pylist() for column in self._table.columns), strict=True))

    def reader(self, batch_rows: int) -> pa.RecordBatchReader:  # noqa: ARG002
        """Return the rows as a stream; the engine decides how many rows a batch has."""
        schema = self._stream.schema.remove_metadata()
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema))

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for chunk in self._stream:
            yield pa.RecordBatch.from_arrays(chunk.data.columns, schema=schema)

    @cached_property
    def _table(self) -> pa.Table:
        return self._stream.read_all().replace_schema_metadata(None)


def _new_name() -> bytes:
    """Return a name for a query or an operation that no other has."""
    return secrets.token_hex(16).encode()


def _absolute(path: str | os.PathLike[str]) -> str:
    given = os.fspath(path)
    return given if is_url(given) else os.path.abspath(local_path(given))


def _refuse_storage_options(request: TriggerMany) -> None:
    if request.storage_options is not None:
        raise InvalidOptionError(
            "An engine loads URLs with the rights of its own process, so storage_options aren't "
            "sent to it; set the variables of its environment, such as AWS_PROFILE or FSSPEC_S3.",
            option="storage_options",
        )


@contextmanager
def sendable(request: TriggerMany, catalog: Catalog) -> Iterator[pa.RecordBatchReader]:
    """Provide a source of this process as rows that can be sent."""
    name = chosen_workflow(catalog.tables(request.workflow), request.workflow)
    definition = catalog.definition(name)
    if offers_arrow(request.source):
        rows = arrow_of(request.source, definition.fields)
        yield rows.to_reader() if isinstance(rows, pa.Table) else rows
        return
    objects = ObjectStream(definition, iterable_of(request.source), request.foreign_id)
    with translated(objects.label, failure=lambda: objects.failure):
        yield objects.reader()
