"""Read Arrow IPC streams whose sender isn't trusted.

Arrow reads whatever a stream claims. One that is compressed can stand for thirty thousand times its
bytes, and the lengths of its columns may be those of larger buffers. A stream that passes here
takes no more memory than it has bytes, and its columns end where their buffers do.
"""

from __future__ import annotations

import struct
from typing import Final

import pyarrow as pa

# Where the tables of Arrow's flatbuffers have these fields: Message.fbs of the format.
_HEADER_OF_MESSAGE: Final = 2
_COMPRESSION_OF_BATCH: Final = 3


class InvalidStreamError(Exception):
    """A stream that no worker writes; the message names what is wrong with it."""


def read_plain_table(source: pa.NativeFile) -> pa.Table:
    """Read one stream as a table; its columns are views into the source.

    Raises:
        InvalidStreamError: It is empty or compressed, or has dictionaries.
        ArrowInvalid: It is no stream, or its lengths don't fit its buffers.
    """
    messages = pa.ipc.MessageReader.open_stream(source)
    first = next(messages, None)
    if first is None or first.type != "schema":
        raise InvalidStreamError("no columns")
    schema = pa.ipc.read_schema(first)
    batches = [_batch(message, schema) for message in messages]
    table = pa.Table.from_batches(batches, schema)
    table.validate()
    return table


def _batch(message: pa.Message, schema: pa.Schema) -> pa.RecordBatch:
    if message.type != "record batch":
        raise InvalidStreamError(f"a message of the kind {message.type!r}")
    metadata = memoryview(message.metadata)
    (root,) = struct.unpack_from("<I", metadata)
    header = _place_of_field(metadata, root, _HEADER_OF_MESSAGE)
    if header is None:
        raise InvalidStreamError("a message without a batch")
    (to_batch,) = struct.unpack_from("<I", metadata, header)
    if _place_of_field(metadata, header + to_batch, _COMPRESSION_OF_BATCH) is not None:
        raise InvalidStreamError("compressed columns")
    return pa.ipc.read_record_batch(message, schema)


def _place_of_field(buffer: memoryview, table: int, number: int) -> int | None:
    """Return where a table of a flatbuffer has a field; None if it doesn't have it."""
    (to_layout,) = struct.unpack_from("<i", buffer, table)
    layout = table - to_layout
    (layout_bytes,) = struct.unpack_from("<H", buffer, layout)
    entry = 4 + 2 * number
    if entry >= layout_bytes:
        return None
    (offset,) = struct.unpack_from("<H", buffer, layout + entry)
    return table + offset if offset else None
