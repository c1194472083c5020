"""What arrives from a worker or a node takes no more memory than it has bytes."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from batchflow.chunk.plain_stream import InvalidStreamError, read_plain_table
from batchflow.chunk.serialization import read_result

ROWS = 4_096 + 7
TABLE = pa.table({"number": np.arange(ROWS), "text": ["a"] * ROWS})


def stream(table: pa.Table, compression: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def result_with(table: pa.Table) -> bytes:
    return stream(table) + stream(pa.table({})) * 3


def outcomes(**columns: pa.Array) -> pa.Table:
    codes = np.zeros(ROWS, np.int8)
    table = pa.table({"#outcome": codes, "#to": codes.astype(np.int16), **columns})
    return table.replace_schema_metadata({"batchflow": '{"chunk_id": 1, "changes": ["number"]}'})


def read(data: bytes) -> pa.Table:
    return read_plain_table(pa.BufferReader(data))


def test_columns_arrive_as_views_of_several_batches() -> None:
    several = pa.concat_tables([TABLE, TABLE.slice(0, 5)])
    data = pa.py_buffer(stream(several))
    found = read_plain_table(pa.BufferReader(data))

    assert found.equals(several)
    values = found["number"].chunk(0).buffers()[1]
    assert data.address <= values.address < data.address + data.size


REFUSED: dict[str, Callable[[], bytes]] = {
    "compressed with lz4": lambda: stream(TABLE, "lz4"),
    "compressed with zstd": lambda: stream(TABLE, "zstd"),
    "a dictionary": lambda: stream(pa.table({"text": TABLE["text"].dictionary_encode()})),
    "columns beyond their buffers": lambda: stream(TABLE).replace(
        struct.pack("<q", ROWS), struct.pack("<q", 2**40)
    ),
    "a batch of another length": lambda: stream(TABLE).replace(
        struct.pack("<q", ROWS), struct.pack("<q", ROWS - 1), 1
    ),
    "cut off": lambda: stream(TABLE)[:-100],
    "empty": lambda: b"",
    "without a schema": lambda: stream(TABLE)[stream(TABLE.slice(0, 0)).rindex(b"\xff" * 4) :],
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_a_stream_that_claims_more_than_its_bytes_is_refused(data: Callable[[], bytes]) -> None:
    with pytest.raises((InvalidStreamError, pa.ArrowInvalid, OSError)):
        read(data())


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_with_another_byte_is_read_or_refused(seed: int) -> None:
    drawn = random.Random(seed)
    original = stream(TABLE.slice(0, 3))
    for _ in range(50):
        data = bytearray(original)
        data[drawn.randrange(len(data))] = drawn.randrange(256)
        try:
            found = read(bytes(data))
            found.validate(full=True)
        except Exception:
            continue
        assert found.nbytes <= len(data)


TOO_MUCH: dict[str, Callable[[], pa.Table]] = {
    "a long header": lambda: outcomes().replace_schema_metadata(
        {"batchflow": f'{{"causes": [{"[]," * 10_000_000}[]]}}'}
    ),
    "a mask of lists": lambda: outcomes(
        **{"number": pa.nulls(ROWS), "#written:number": pa.array([[None]] * ROWS)}
    ),
    "outcomes without bytes": lambda: outcomes().set_column(0, "#outcome", pa.nulls(ROWS)),
}


@pytest.mark.parametrize("table", TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_result_that_grows_when_it_is_read_is_refused(table: Callable[[], pa.Table]) -> None:
    with pytest.raises((InvalidStreamError, pa.ArrowInvalid)):
        read_result(pa.py_buffer(result_with(table())))
