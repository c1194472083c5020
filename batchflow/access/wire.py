"""Queries, columns and errors as they are sent through the socket."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
from pyarrow import flight

from batchflow import errors
from batchflow.errors import BatchflowError, EngineGoneError, QueryError, StoreError
from batchflow.operation.parameters import Params
from batchflow.store.database.duckdb_message import message_of
from batchflow.store.query.source import Columns

END_OF_ROWS: Final = b"end"
"""Follows the last row of a source; rows without it are incomplete."""

_QUERY: Final = b"query"
_NAMED: Final = b"named"
_NAME: Final = b"name"
_COLUMNS: Final = b"batchflow.columns"
# gRPC's words where nothing was sent.
_NO_CONNECTION: Final = "failed to connect"
_IN_STREAM: Final = "batchflow.error: "


@dataclass(frozen=True)
class SentQuery:
    """A query as its client sends it.

    Attributes:
        query: Its text.
        params: The values of its parameters.
        name: A random name, by which its client can cancel it.
    """

    query: str
    params: Params
    name: bytes


def packed_query(query: str, params: Params, name: bytes) -> bytes:
    """Return a query with its parameters, each a column of one row: Arrow knows their types."""
    named = isinstance(params, Mapping)
    given: Mapping[str, Any] = (
        dict(params) if isinstance(params, Mapping) else _numbered(params or ())
    )
    try:
        columns = [pa.array([value]) for value in given.values()]
    except (pa.ArrowException, OverflowError) as error:
        raise QueryError(f"A parameter of the query can't be sent: {message_of(error)}.") from None
    metadata = {_QUERY: query.encode(), _NAMED: str(int(named)).encode(), _NAME: name}
    fields = [(name, column.type) for name, column in zip(given, columns, strict=True)]
    sink = pa.BufferOutputStream()
    schema = pa.schema(fields, metadata=metadata)
    with pa.ipc.new_stream(sink, schema) as writer:
        if columns:
            writer.write_batch(pa.record_batch(columns, schema=schema))
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def unpacked_query(packed: bytes) -> SentQuery:
    """Return the query that `packed_query` packed; an older client gave it no name."""
    table = pa.ipc.open_stream(packed).read_all()
    metadata = table.schema.metadata
    rows = table.to_pylist()
    given = rows[0] if rows else {}
    named = metadata[_NAMED] == b"1"
    params = given if named else list(given.values()) or None
    return SentQuery(metadata[_QUERY].decode(), params, metadata.get(_NAME, b""))


def with_columns(schema: pa.Schema, columns: Columns) -> pa.Schema:
    """Return a stream's schema with DuckDB's names and types of its columns."""
    described = json.dumps([columns.names, columns.types]).encode()
    return schema.with_metadata({_COLUMNS: described})


def columns_of(schema: pa.Schema) -> Columns:
    """Return what `with_columns` added."""
    names, types = json.loads(schema.metadata[_COLUMNS])
    return Columns(tuple(names), tuple(types))


def _numbered(params: Sequence[Any]) -> dict[str, Any]:
    return {str(number): value for number, value in enumerate(params)}


def flight_error(error: BatchflowError) -> flight.FlightError:
    """Return an error as Flight sends it."""
    return flight.FlightServerError(str(error), extra_info=_packed_error(error).encode())


def error_in_stream(error: BatchflowError) -> flight.FlightError:
    """Return an error as Flight sends it between two batches, where it passes on only a text."""
    return flight.FlightServerError(f"{_IN_STREAM}{_packed_error(error)}")


def _packed_error(error: BatchflowError) -> str:
    attributes = {name: _sendable(value) for name, value in vars(error).items()}
    return json.dumps(
        {"type": type(error).__name__, "message": str(error), "attributes": attributes}
    )


def error_of_engine(error: Exception, path: str) -> BatchflowError:
    """Return the error that the engine raised, with its attributes; or that it is gone."""
    sent = _sent(error)
    if isinstance(error, flight.FlightUnauthenticatedError):
        return StoreError(
            f"The engine at {path!r} refuses the call, as the token is missing or wrong; give "
            "connect() the token that its EngineConfig.listen has."
        )
    kind = getattr(errors, str(sent.get("type")), None)
    if not (isinstance(kind, type) and issubclass(kind, BatchflowError)):
        if _NO_CONNECTION in str(error):
            return EngineGoneError(
                f"No engine answers for {path!r} ({_first_line(error)}); start one, or check the "
                "address.",
                reached=False,
            )
        return EngineGoneError(
            f"The engine that had the store {path!r} open ended before it replied "
            f"({_first_line(error)}). If you asked it to change runs, check whether it did, then "
            "repeat the call."
        )
    made: BatchflowError = kind.__new__(kind, sent["message"])
    vars(made).update({name: _received(value) for name, value in sent["attributes"].items()})
    return made


def _sendable(value: Any) -> Any:
    """Return the JSON form of an error's attribute; what has none is sent as text."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case UUID():
            return {"uuid": str(value)}
        case tuple() | list():
            return [_sendable(each) for each in value]
        case Mapping():
            return {"map": {str(key): _sendable(each) for key, each in value.items()}}
        case _:
            return str(value)


def _received(value: Any) -> Any:
    match value:
        case {"uuid": str() as text}:
            return UUID(text)
        case {"map": dict() as values}:
            return {key: _received(each) for key, each in values.items()}
        case list():
            return tuple(_received(each) for each in value)
        case _:
            return value


def _sent(error: Exception) -> dict[str, Any]:
    _, is_in_text, text = str(error).partition(_IN_STREAM)
    packed = text if is_in_text else bytes(getattr(error, "extra_info", b"")).decode()
    try:
        # In a text, Flight adds details.
        sent, _ = json.JSONDecoder().raw_decode(packed)
    except ValueError:
        return {}
    return sent if isinstance(sent, dict) else {}


def _first_line(error: Exception) -> str:
    """Return the first line of Flight's message, without its details of the connection."""
    text = str(error).partition(". gRPC client debug context")[0]
    return text.splitlines()[0] if text else type(error).__name__
