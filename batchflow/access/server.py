"""Serving a store to other processes while an engine has it open, over Arrow Flight."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pyarrow as pa
from pyarrow import flight

from batchflow.access.ending import end
from batchflow.access.served_queries import ServedQueries
from batchflow.access.served_requests import ServedEngine, ServedRequests
from batchflow.access.socket import new_socket, socket_of
from batchflow.access.wire import (
    END_OF_ROWS,
    error_in_stream,
    flight_error,
)
from batchflow.errors import (
    BatchflowError,
    EngineStateError,
    InvalidOptionError,
    SourceError,
    StoreError,
)
from batchflow.store.database.forks import leak_in_child

if TYPE_CHECKING:
    from batchflow.access.listening import Listen
    from batchflow.store import Store

log = logging.getLogger("batchflow")

_AUTHORIZATION: Final = "authorization"


# gRPC doesn't work in a forked child of a process that used it.
_GRPC_PID: Final = os.getpid()


class Server:
    """Listens beside the store's file for its owner, and on a network where that is configured.

    Args:
        path: The store's file.
        store: The store, whose queries are executed here.
        engine: Carries out operations; it may go away without being closed.
        query_timeout_seconds: The longest time for a query, until its last row is sent.
        listen: Where else to listen, with TLS.
        grace_seconds: How long operations may take to finish when it is closed.
        allowed_urls: The folders from which clients may load.

    Raises:
        OSError: It can't listen beside the file.
        EngineStateError: It can't listen on the network.
    """

    def __init__(
        self,
        path: str,
        store: Store,
        engine: ServedEngine,
        query_timeout_seconds: float,
        listen: Listen | None = None,
        grace_seconds: float = 10.0,
        allowed_urls: Sequence[str] = (),
    ) -> None:
        if os.getpid() != _GRPC_PID:
            raise OSError("This process was forked from one that serves an engine.")
        self._queries = ServedQueries(store, query_timeout_seconds)
        self._requests = ServedRequests(
            path, store, weakref.ref(engine), query_timeout_seconds, allowed_urls
        )
        self._grace_seconds = grace_seconds
        self._socket = socket_of(path)
        self._pid = os.getpid()
        with new_socket(path) as address:
            beside = _beside((self._requests, self._queries), f"grpc+unix://{address}")
            # Where each of them listens.
            self._servers: dict[_Flight, str | int] = {beside: str(address)}
        if listen is not None:
            try:
                server = _on_network((self._requests, self._queries), listen)
                self._servers[server] = int(server.port)
            except BaseException:
                self.close()
                raise
        leak_in_child(self)
        os.register_at_fork(after_in_child=partial(_leave_to_parent, weakref.ref(self)))

    @property
    def ports(self) -> list[int]:
        """The ports on the network."""
        return [each for each in self._servers.values() if isinstance(each, int)]

    def leave_to_parent(self) -> None:
        """In a forked child, forget that Flight shuts its servers down when Python ends."""
        for finalizer in getattr(weakref.finalize, "_registry", {}).copy():
            registered = finalizer.peek()
            if registered is not None and registered[0] in self._servers:
                # PyArrow keeps its finalizers to itself.
                finalizer.detach()

    def close(self) -> None:
        """Stop listening, and end the queries that are running."""
        if os.getpid() != self._pid:
            # In a forked child, as the threads are the parent's.
            return
        # The socket first, so that new clients open the file instead.
        self._socket.unlink(missing_ok=True)
        self._queries.close()
        ended = end(self._servers, self._requests, self._grace_seconds)
        self._requests.close()
        if not ended:
            # Python would wait for them once more when it ends.
            self.leave_to_parent()
            log.warning(
                "A request of another process didn't end within %g seconds.",
                self._grace_seconds,
                extra={"action": "serve", "path": str(self._socket)},
            )


def _leave_to_parent(reference: weakref.ref[Server]) -> None:
    server = reference()
    if server is not None:
        server.leave_to_parent()


def _beside(served: _Served, location: str) -> _Flight:
    try:
        return _Flight(served, location)
    except pa.ArrowException as error:
        raise OSError(str(error)) from error


def _on_network(served: _Served, listen: Listen) -> _Flight:
    location = f"grpc+tls://{listen.host}:{listen.port}"
    try:
        certificate, key = Path(listen.certificate).read_bytes(), Path(listen.key).read_bytes()
        return _Flight(
            served,
            location,
            tls_certificates=[(certificate, key)],
            middleware={"token": _TokenNeeded(listen.token)},
        )
    except (OSError, pa.ArrowException) as error:
        raise EngineStateError(
            f"The engine can't listen at {location}: {error}. Check the address, the port and "
            "the files of EngineConfig.listen."
        ) from error


_Served: TypeAlias = tuple[ServedRequests, ServedQueries]


class _Flight(flight.FlightServerBase):  # type: ignore[misc]
    """The methods that Flight calls."""

    def __init__(self, served: _Served, location: str, **how: Any) -> None:
        super().__init__(location, **how)
        self._requests, self._queries = served

    def do_action(self, context: Any, action: Any) -> list[bytes]:
        """Describe or cancel a query, return a drain's progress, or carry out an operation."""
        with _refusing(self._queries):
            body = action.body.to_pybytes()
            match action.type:
                case "describe":
                    return [_json(self._queries.described(body, context.is_cancelled))]
                case "cancel":
                    self._queries.cancel(body)
                    self._requests.cancel(body)
                    return [_json(None)]
                case "progress":
                    return [_json(self._requests.progress())]
                case "perform":
                    performed = self._requests.performed_within_limits
                    return [_json(performed(json.loads(body), context.is_cancelled))]
                case _:
                    raise InvalidOptionError(f"There is no action {action.type!r}.")

    def do_get(self, context: Any, ticket: Any) -> Any:
        """Execute a query, and stream its rows."""
        with _refusing(self._queries):
            schema, batches = self._queries.batches(ticket.ticket, context.is_cancelled)
        # A GeneratorStream wouldn't send the dictionaries that statuses have.
        rows = pa.RecordBatchReader.from_batches(schema, _refused_later(self._queries, batches))
        return flight.RecordBatchStream(rows)

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Carry out an operation on the rows that are streamed here."""
        with _refusing(self._queries):
            call = json.loads(descriptor.command)
            result = self._requests.performed_with_rows(
                call["operation"], call["options"], _complete_rows(reader)
            )
        writer.write(_json(result))


def _complete_rows(reader: Any) -> pa.RecordBatchReader:
    """Return the rows of a stream, which raises if they end before the client's mark."""
    return pa.RecordBatchReader.from_batches(reader.schema, _batches_to_end(reader))


def _batches_to_end(reader: Any) -> Iterator[pa.RecordBatch]:
    for chunk in reader:
        if chunk.app_metadata is not None and chunk.app_metadata.to_pybytes() == END_OF_ROWS:
            return
        yield chunk.data
    raise SourceError("The rows ended before the client had sent all of them.")


def _refused_later(
    queries: ServedQueries, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    with _refusing(queries, error_in_stream):
        yield from batches


@contextlib.contextmanager
def _refusing(
    queries: ServedQueries, sent: Callable[[BatchflowError], Any] = flight_error
) -> Iterator[None]:
    """Send batchflow's errors as they are, and of other errors only the type."""
    try:
        yield
    except Exception as error:
        if queries.closed:
            # Whatever failed, failed because the engine closes the store.
            raise flight.FlightUnavailableError("The engine is closing the store.") from None
        raise _refusal(error, sent) from None


def _refusal(error: Exception, sent: Callable[[BatchflowError], Any]) -> Any:
    if isinstance(error, BatchflowError):
        return sent(error)
    if isinstance(error, flight.FlightError):
        return error
    log.warning(
        "A request to the store's socket failed: %s.",
        type(error).__qualname__,
        extra={"action": "serve"},
    )
    return sent(StoreError(f"The engine could not process the request: {type(error).__name__}."))


class _TokenNeeded(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Refuses calls without the token."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._expected = f"Bearer {token}"

    def start_call(self, info: Any, headers: Mapping[str, list[str]]) -> None:
        """Refuse a call without the token."""
        given = headers.get(_AUTHORIZATION, [""])[0]
        if not hmac.compare_digest(given.encode(), self._expected.encode()):
            raise flight.FlightUnauthenticatedError("The token is missing or wrong.")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
