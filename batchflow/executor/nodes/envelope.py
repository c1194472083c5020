"""The messages between a coordinator and its nodes: a kind, fields as JSON, and a body of bytes.

Several of them may follow one another in one buffer. A body begins at a multiple of 64 bytes, so
that Arrow reads its columns in place. Nothing is pickled, except for the workflows' code, which
only ever goes to a node.
"""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

_LENGTHS: Final = struct.Struct("<IQ")
_ALIGNMENT: Final = 64
_TO_THE_END: Final = 2**64 - 1
# Parsed JSON takes twenty times its text.
_MOST_TEXT_BYTES: Final = 16 * 1024 * 1024


class ToNode(enum.Enum):
    """The kinds of messages to a node."""

    SETUP = "open a pool for the workflows in the body"
    CHUNK = "execute the chunk in the body"
    STOP = "request a stop of the steps, or withdraw the request"
    SURRENDER = "request the results of chunks whose call hasn't returned"
    ABANDON = "drop all chunks, and end the steps under way"
    LEVELS = "make the log records of these levels"


class FromNode(enum.Enum):
    """The kinds of messages from a node."""

    RESULT = "the body is the result of a chunk"
    LOST = "a chunk is lost, because its worker ended"
    CALLS = "these calls are under way"
    LOG = "the body is a log record"
    ABANDONED = "everything after this came after an abandon"
    FAILED = "the pool raised an error"
    MISFIT = "the node has other code"


class InvalidEnvelopeError(Exception):
    """Bytes that no node sends; the message names what is wrong with them."""


@dataclass(frozen=True)
class Envelope:
    """One message."""

    kind: str
    fields: Mapping[str, Any]
    body: pa.Buffer


def head(kind: enum.Enum, body_bytes: int | None = None, **fields: Any) -> bytes:
    """Return the bytes before a body of so many bytes; None is for a body up to the buffer's end.

    If another message follows, pad the body to a multiple of 64 bytes.
    """
    text = json.dumps([kind.name, fields]).encode()
    text += b" " * (-(len(text) + _LENGTHS.size) % _ALIGNMENT)
    return _LENGTHS.pack(len(text), _TO_THE_END if body_bytes is None else body_bytes) + text


def packed(kind: enum.Enum, body: bytes | pa.Buffer = b"", **fields: Any) -> bytes:
    """Return a message that others may follow."""
    size = len(body)
    return b"".join([head(kind, size, **fields), body, b"\0" * (-size % _ALIGNMENT)])


def unpacked(buffer: pa.Buffer) -> list[Envelope]:
    """Return the messages in a buffer; their bodies are parts of it.

    Raises:
        InvalidEnvelopeError: It has something else.
    """
    envelopes, start = [], 0
    while start < buffer.size:
        envelope, start = _envelope_at(buffer, start)
        envelopes.append(envelope)
    return envelopes


def _envelope_at(buffer: pa.Buffer, start: int) -> tuple[Envelope, int]:
    body = start + _LENGTHS.size
    if body > buffer.size:
        raise InvalidEnvelopeError("a message without its lengths")
    text_bytes, body_bytes = _LENGTHS.unpack(buffer.slice(start, _LENGTHS.size).to_pybytes())
    text, body = body, body + text_bytes
    if body_bytes == _TO_THE_END:
        body_bytes = max(0, buffer.size - body)
    if text_bytes > _MOST_TEXT_BYTES:
        raise InvalidEnvelopeError("a message with too long fields")
    if body + body_bytes > buffer.size:
        raise InvalidEnvelopeError("a message that is cut off")
    try:
        kind, fields = json.loads(buffer.slice(text, text_bytes).to_pybytes())
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidEnvelopeError("a message without a kind and fields") from error
    if not (isinstance(kind, str) and isinstance(fields, dict)):
        raise InvalidEnvelopeError("a message without a kind and fields")
    end = body + body_bytes + -body_bytes % _ALIGNMENT
    return Envelope(kind, fields, buffer.slice(body, body_bytes)), end
