"""Write chunks and their results as Arrow IPC streams, and read them without a copy.

Scalar values (ids, seconds) are JSON in the schema's metadata. Nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO, TypeAlias

import pyarrow as pa

from batchflow.chunk.chunk import Chunk
from batchflow.chunk.plain_stream import InvalidStreamError, read_plain_table
from batchflow.chunk.result import Change, ChunkResult, Leg
from batchflow.chunk.search import Search
from batchflow.chunk.visit import Visit
from batchflow.columns.arrays import one_array
from batchflow.definition.cause import Cause, Place

_HEADER = b"batchflow"
_ROW = "#row"
_OUTCOME = "#outcome"
_TO = "#to"
_WRITTEN = "#written:"
# Parsed JSON takes twenty times its text. The largest part of it are the causes of failures.
_HEADER_BYTES = 1024 * 1024
_HEADER_BYTES_PER_ROW = 4096

Sink: TypeAlias = "BinaryIO | pa.NativeFile"


def write_chunk(chunk: Chunk, sink: Sink) -> None:
    """Write `chunk` to `sink` as one IPC stream."""
    visit = chunk.visit
    header = {
        "chunk_id": chunk.chunk_id,
        "workflow": chunk.workflow,
        "from_code": chunk.from_code,
        "run_id_base": chunk.run_id_base,
        "now": chunk.now.isoformat(),
        "slice_seconds": chunk.slice_seconds,
        "call_rows": chunk.call_rows,
        "search": [chunk.search.rows, chunk.search.crashes] if chunk.search else None,
        "visit": [visit.seconds, visit.may_go_back, visit.barred] if visit else None,
    }
    _write_table(chunk.rows, sink, header)


def read_chunk(buffer: pa.Buffer) -> Chunk:
    """Read what `write_chunk` wrote; the columns are views into `buffer`."""
    table = _read_table(pa.BufferReader(buffer))
    header = _header(table)
    search = Search(*found) if (found := header.pop("search")) else None
    now = datetime.fromisoformat(header.pop("now"))
    visit = _visit(header.pop("visit"))
    return Chunk(rows=_without_header(table), search=search, now=now, visit=visit, **header)


def write_result(result: ChunkResult, sink: Sink) -> None:
    """Write `result` to `sink` as four IPC streams, one after the other."""
    header = {
        "chunk_id": result.chunk_id,
        "seconds": result.seconds,
        "changes": list(result.changes),
        "later": [(leg.from_code, len(leg.rows), leg.seconds) for leg in result.later],
        "causes": [_cause_to_json(cause) for cause in result.causes],
        "worker": result.worker,
        "slowest": result.slowest,
    }
    columns = dict(_result_columns(result))
    _write_table(pa.table(columns), sink, header)
    _write_table(result.failures, sink, {})
    _write_table(result.reasons, sink, {})
    _write_table(_legs_table(result.later), sink, {})


def read_result(buffer: pa.Buffer) -> ChunkResult:
    """Read what `write_result` wrote; the columns are views into `buffer`.

    Whatever the buffer contains, this takes little more memory than the buffer itself.

    Raises:
        InvalidStreamError: It isn't what `write_result` writes.
        Exception: Arrow, NumPy and JSON have errors of many classes for what they can't read.
    """
    source = pa.BufferReader(buffer)
    table, failures, reasons, legs = (read_plain_table(source) for _ in range(4))
    header = _small_header(table)
    return ChunkResult(
        chunk_id=header["chunk_id"],
        outcomes=one_array(table[_OUTCOME]).to_numpy(),
        to_codes=one_array(table[_TO]).to_numpy(),
        changes={name: _change(table, name) for name in header["changes"]},
        failures=_without_header(failures),
        reasons=_without_header(reasons),
        seconds=header["seconds"],
        later=tuple(_legs(legs, header["later"])),
        causes=tuple(map(_cause, header["causes"])),
        worker=header["worker"],
        slowest=tuple((row, code, seconds) for row, code, seconds in header["slowest"]),
    )


def _cause_to_json(cause: Cause) -> list[Any]:
    place = cause.place
    texts = (cause.id, cause.description, cause.type, cause.message)
    where = None if place is None else (place.file, place.function, place.line, place.source)
    return [*texts, where, cause.chain]


def _cause(found: list[Any]) -> Cause:
    cause, description, kind, message, where, chain = found
    place = None if where is None else Place(*where)
    return Cause(cause, description, kind, message, place, tuple(chain))


def _visit(found: list[Any] | None) -> Visit | None:
    if found is None:
        return None
    seconds, may_go_back, barred = found
    return Visit(seconds, may_go_back, tuple(barred))


def _legs_table(legs: tuple[Leg, ...]) -> pa.Table:
    columns = {
        _ROW: pa.chunked_array([leg.rows for leg in legs], pa.int32()),
        _OUTCOME: pa.chunked_array([leg.outcomes for leg in legs], pa.int8()),
        _TO: pa.chunked_array([leg.to_codes for leg in legs], pa.int16()),
    }
    # One piece is read as one array, however many legs there are.
    return pa.table(columns).combine_chunks()


def _legs(table: pa.Table, headers: list[list[Any]]) -> Iterator[Leg]:
    rows, outcomes, to_codes = (one_array(table[name]).to_numpy() for name in (_ROW, _OUTCOME, _TO))
    start = 0
    for from_code, size, seconds in headers:
        part = slice(start, start + size)
        yield Leg(from_code, rows[part], outcomes[part], to_codes[part], seconds)
        start += size


def _result_columns(result: ChunkResult) -> Iterator[tuple[str, pa.Array]]:
    yield _OUTCOME, pa.array(result.outcomes)
    yield _TO, pa.array(result.to_codes)
    for name, change in result.changes.items():
        yield name, change.values
        if change.written is not None:
            yield _WRITTEN + name, pa.array(change.written)


def _change(table: pa.Table, name: str) -> Change:
    mask = _WRITTEN + name
    written = None
    if mask in table.column_names:
        if not pa.types.is_boolean(table[mask].type):
            raise InvalidStreamError("a mask that isn't bool")
        written = one_array(table[mask]).to_numpy(zero_copy_only=False)
    return Change(one_array(table[name]), written)


def _write_table(table: pa.Table, sink: Sink, header: dict[str, Any]) -> None:
    metadata = {**(table.schema.metadata or {}), _HEADER: json.dumps(header).encode()}
    schema = table.schema.with_metadata(metadata)
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(table.replace_schema_metadata(metadata))


def _read_table(source: pa.NativeFile) -> pa.Table:
    with pa.ipc.open_stream(source) as reader:
        return reader.read_all()


def _small_header(table: pa.Table) -> dict[str, Any]:
    # The outcomes have a byte for each row, so their number is that of rows that were sent.
    most = _HEADER_BYTES + _HEADER_BYTES_PER_ROW * len(one_array(table[_OUTCOME]).to_numpy())
    if len(table.schema.metadata[_HEADER]) > most:
        raise InvalidStreamError("a header that is too long for its rows")
    return _header(table)


def _header(table: pa.Table) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(table.schema.metadata[_HEADER])
    return header


def _without_header(table: pa.Table) -> pa.Table:
    metadata = {k: v for k, v in (table.schema.metadata or {}).items() if k != _HEADER}
    return table.replace_schema_metadata(metadata or None)
