"""What crosses the socket besides Arrow's own streams: queries, commands, errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from pyarrow import flight

from batchflow import errors
from batchflow.errors import BatchflowError, QueryError, StoreError
from batchflow.store.query.relation import Params

_QUERY: Final = b"query"
_NAMED: Final = b"named"


def packed_query(query: str, params: Params) -> bytes:
    """Return a query with its parameters, each a column of one row: Arrow knows their types."""
    named = isinstance(params, Mapping)
    given: Mapping[str, Any] = (
        dict(params) if isinstance(params, Mapping) else _numbered(params or ())
    )
    try:
        columns = [pa.array([value]) for value in given.values()]
    except (pa.ArrowException, OverflowError) as error:
        raise QueryError(f"A parameter of the query can't be sent: {error}") from error
    metadata = {_QUERY: query.encode(), _NAMED: str(int(named)).encode()}
    fields = [(name, column.type) for name, column in zip(given, columns, strict=True)]
    sink = pa.BufferOutputStream()
    schema = pa.schema(fields, metadata=metadata)
    with pa.ipc.new_stream(sink, schema) as writer:
        if columns:
            writer.write_batch(pa.record_batch(columns, schema=schema))
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def unpacked_query(packed: bytes) -> tuple[str, Params]:
    """Return the query and its parameters."""
    table = pa.ipc.open_stream(packed).read_all()
    metadata = table.schema.metadata
    rows = table.to_pylist()
    given = rows[0] if rows else {}
    named = metadata[_NAMED] == b"1"
    return metadata[_QUERY].decode(), given if named else list(given.values()) or None


def _numbered(params: Sequence[Any]) -> dict[str, Any]:
    return {str(number): value for number, value in enumerate(params)}


def refusal(error: BatchflowError) -> flight.FlightError:
    """Return the error as Flight sends it."""
    told = {
        "type": type(error).__name__,
        "message": str(error),
        "found": getattr(error, "found", ""),
    }
    return flight.FlightServerError(str(error), extra_info=json.dumps(told).encode())


def refused(error: Exception, path: str) -> BatchflowError:
    """Return the error that the engine raised; or that it can't be reached any more."""
    told = _told(error)
    kind = getattr(errors, told.get("type", ""), None)
    if kind is QueryError:
        return QueryError(told["message"], found=told["found"])
    if kind is not None:
        made: BatchflowError = kind(told["message"])
        return made
    return StoreError(
        f"The engine that has the store {path!r} open doesn't answer ({_first_line(error)}); "
        "connect again."
    )


def _told(error: Exception) -> dict[str, str]:
    try:
        told = json.loads(getattr(error, "extra_info", b""))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _first_line(error: Exception) -> str:
    """Return what was said, without what Flight says of the connection after it."""
    text = str(error).partition(". gRPC client debug context")[0]
    return text.splitlines()[0] if text else type(error).__name__
