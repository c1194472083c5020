"""Answering for a store while an engine has it open, over Arrow Flight."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa
from pyarrow import flight

from batchflow.access.commands import COMMANDS, received_moment
from batchflow.access.socket import cradle, socket_of
from batchflow.access.watch import Watch
from batchflow.access.wire import refusal, unpacked_query
from batchflow.chunk.chunk import FOREIGN_ID
from batchflow.errors import BatchflowError, EngineStateError, QueryError, StoreError
from batchflow.store.database.forks import leak_in_child
from batchflow.store.query.local_source import LocalSource
from batchflow.store.query.relation import BATCH_ROWS, executing

if TYPE_CHECKING:
    from uuid import UUID

    from batchflow.access.listening import Listen
    from batchflow.coordinator import Progress
    from batchflow.store import LoadReport, Moved, Pruned

log = logging.getLogger("batchflow")

# More at once would take the memory that commits need.
_MOST_QUERIES: Final = 4
_AUTHORIZATION: Final = "authorization"


class Served(Protocol):
    """What an engine does for those who reach it by its socket."""

    @property
    def trigger_many(self) -> Callable[..., LoadReport]:
        """Starts a run for each row of a source."""

    @property
    def pause(self) -> Callable[..., Moved]:
        """Holds runs."""

    @property
    def resume(self) -> Callable[..., Moved]:
        """Lets runs go on."""

    @property
    def cancel(self) -> Callable[..., Moved]:
        """Ends runs."""

    @property
    def prune(self) -> Callable[..., Pruned]:
        """Removes finished runs."""

    def run_id_at(self, workflow: str, seq: int) -> UUID:
        """Return the id of the run with this number."""

    def progress(self) -> Progress | None:
        """Tell how far the drain under way is, if there is one."""

    def wind_down(self) -> bool:
        """End the drain under way, if there is one."""


# gRPC doesn't work in a forked child of a process that has used it.
_GRPC_PID: Final = os.getpid()


class Server:
    """Listens beside the store's file, for its owner alone, and elsewhere if that is asked for.

    Args:
        path: the store's file.
        source: where its queries are answered.
        engine: what carries out commands; it may go away without being closed.
        query_timeout_seconds: how long a query may take, until its last row was sent.
        listen: where else to listen, with TLS.

    Raises:
        OSError: it can't listen beside the file.
        EngineStateError: it can't listen where else it was asked to.
    """

    def __init__(
        self,
        path: str,
        source: LocalSource,
        engine: Served,
        query_timeout_seconds: float,
        listen: Listen | None = None,
    ) -> None:
        if os.getpid() != _GRPC_PID:
            raise OSError("this process was forked from one whose engine can be asked")
        self._watch = Watch(query_timeout_seconds, _MOST_QUERIES)
        answering = _Answering(path, source, weakref.ref(engine), self._watch)
        self._socket = socket_of(path)
        self._pid = os.getpid()
        with cradle(path) as address:
            self._servers = [_beside(answering, f"grpc+unix://{address}")]
        if listen is not None:
            try:
                self._servers.append(_beyond(answering, listen))
            except BaseException:
                self.close()
                raise
        leak_in_child(self)
        os.register_at_fork(after_in_child=partial(_leave_to_parent, weakref.ref(self)))

    @property
    def ports(self) -> list[int]:
        """Where else it listens."""
        return [server.port for server in self._servers[1:]]

    def leave_to_parent(self) -> None:
        """Forget, in a forked child, that Flight shuts its servers down at Python's end."""
        for finalizer in getattr(weakref.finalize, "_registry", {}).copy():
            registered = finalizer.peek()
            if registered is not None and registered[0] in self._servers:
                # PyArrow keeps its finalizers to itself.
                finalizer.detach()

    def close(self) -> None:
        """Listen no more; queries under way are ended."""
        if os.getpid() != self._pid:
            # The child of a fork: it is the parent's, and so are the threads.
            return
        # The socket first: who comes now sees that nobody is there, and opens the file instead.
        self._socket.unlink(missing_ok=True)
        self._watch.close()
        for server in self._servers:
            server.shutdown()


def _leave_to_parent(reference: weakref.ref[Server]) -> None:
    server = reference()
    if server is not None:
        server.leave_to_parent()


def _beside(answering: _Answering, location: str) -> _Flight:
    try:
        return _Flight(answering, location)
    except pa.ArrowException as error:
        raise OSError(str(error)) from error


def _beyond(answering: _Answering, listen: Listen) -> _Flight:
    location = f"grpc+tls://{listen.host}:{listen.port}"
    try:
        certificate, key = Path(listen.certificate).read_bytes(), Path(listen.key).read_bytes()
        return _Flight(
            answering,
            location,
            tls_certificates=[(certificate, key)],
            middleware={"token": _TokenNeeded(listen.token)},
        )
    except (OSError, pa.ArrowException) as error:
        raise EngineStateError(
            f"The engine can't listen at {location}: {error}; look at the address, the port and "
            "the files of EngineConfig.listen."
        ) from error


class _Answering:
    """What each request is answered with; called from Flight's threads."""

    def __init__(
        self,
        path: str,
        source: LocalSource,
        engine: weakref.ref[Served],
        watch: Watch,
    ) -> None:
        self._path = path
        self._source = source
        self._engine = engine
        self._watch = watch

    def described(self, packed: bytes) -> dict[str, Any]:
        """Check a query, and return the names and types of its columns."""
        bound = self._source.bind_served(*unpacked_query(packed))
        return {"columns": bound.columns, "types": bound.types}

    def batches(
        self, packed: bytes, cancelled: Callable[[], bool]
    ) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Execute a query; the second answer has the schema's batches, and is to be used up."""
        bound = self._source.bind_served(*unpacked_query(packed))
        sent = self._sent(bound.reader, cancelled, bound.interrupt)
        schema = next(sent)
        assert isinstance(schema, pa.Schema)
        return schema, sent

    def _sent(
        self,
        reader: Callable[[int], pa.RecordBatchReader],
        cancelled: Callable[[], bool],
        interrupt: Callable[[], None],
    ) -> Iterator[Any]:
        with self._watch.over(cancelled, interrupt), executing():
            stream = reader(BATCH_ROWS)
            yield stream.schema
            yield from stream

    def command(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a command."""
        engine = self._alive()
        if name == "stop":
            return {"stopping": engine.wind_down()}
        if name == "progress":
            progress = engine.progress()
            return {"progress": None if progress is None else asdict(progress)}
        if name == "prune":
            chosen = {key: options[key] for key in ("where", "workflow", "dry_run")}
            return asdict(engine.prune(received_moment(options), **chosen))
        return asdict(getattr(engine, name)(**options))

    def loaded(self, source: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        """Load a source; of a single run its id is told as well."""
        engine = self._alive()
        single = options.get("foreign_id") == FOREIGN_ID
        report = engine.trigger_many(source, **options)
        told = asdict(report)
        if single:
            told["run_id"] = str(engine.run_id_at(report.workflow, report.first_seq))
        return told

    def _alive(self) -> Served:
        engine = self._engine()
        if engine is None:
            raise EngineStateError(f"The engine that had the store {self._path!r} open is gone.")
        return engine


class _Flight(flight.FlightServerBase):  # type: ignore[misc]
    """The methods that Flight calls."""

    def __init__(self, answering: _Answering, location: str, **how: Any) -> None:
        super().__init__(location, **how)
        self._answering = answering

    def do_action(self, context: Any, action: Any) -> list[bytes]:
        """Check a query, or carry out a command."""
        with _refusing():
            if action.type == "bind":
                return [_json(self._answering.described(action.body.to_pybytes()))]
            options = json.loads(action.body.to_pybytes())
            if action.type == "load":
                return [_json(self._answering.loaded(options.pop("source"), options))]
            if action.type not in COMMANDS:
                raise QueryError(f"There is no command {action.type!r}.")
            return [_json(self._answering.command(action.type, options))]

    def do_get(self, context: Any, ticket: Any) -> Any:
        """Execute a query, and stream its rows."""
        with _refusing():
            schema, batches = self._answering.batches(ticket.ticket, context.is_cancelled)
        # A GeneratorStream wouldn't send the dictionaries that statuses have.
        rows = pa.RecordBatchReader.from_batches(schema, _refused_later(batches))
        return flight.RecordBatchStream(rows)

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Load what is streamed here."""
        with _refusing():
            told = self._answering.loaded(reader.to_reader(), json.loads(descriptor.command))
        writer.write(_json(told))


def _refused_later(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    with _refusing():
        yield from batches


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Send what batchflow raises as what it is; anything else is told without its words."""
    try:
        yield
    except BatchflowError as error:
        raise refusal(error) from None
    except flight.FlightError:
        raise
    except Exception as error:
        log.warning(
            "a request to the store's socket failed: %s",
            type(error).__qualname__,
            extra={"action": "serve"},
        )
        raise refusal(StoreError(f"The engine failed at it: {type(error).__name__}")) from None


class _TokenNeeded(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Lets nobody in without the token."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._expected = f"Bearer {token}"

    def start_call(self, info: Any, headers: Mapping[str, list[str]]) -> None:
        """Refuse a call without it."""
        given = headers.get(_AUTHORIZATION, [""])[0]
        if not hmac.compare_digest(given.encode(), self._expected.encode()):
            raise flight.FlightUnauthenticatedError("the token is missing or wrong")


def _json(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, default=str).encode()
