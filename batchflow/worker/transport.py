"""Messages between the coordinator's process and a worker's: a kind, a number, one anonymous file.

Every message is 16 bytes over a Unix socket pair, with at most one file descriptor attached. The
file carries large data. It has no name on any disk, so no other process can read it, and nothing is
left behind if either side is killed.
"""

from __future__ import annotations

import enum
import errno
import mmap
import os
import socket
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from batchflow.errors import DiskFullError

_HEADER = struct.Struct("<qq")
_NO_ROOM = {*DiskFullError.numbers, errno.ENOMEM}


class MessageKind(enum.IntEnum):
    """The kind of a message."""

    SETUP = 1
    READY = 2
    CODE_FAILED = 3
    RESOURCE_FAILED = 4
    CHUNK = 5
    RESULT = 6
    STOP = 7
    NO_ROOM = 8
    LOG_LEVELS = 9


@dataclass(frozen=True)
class Message:
    """One received message; ``payload`` is mapped, not copied."""

    kind: MessageKind
    number: int
    payload: pa.Buffer | None


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets that wait without a limit.

    `socket.setdefaulttimeout`, which programs call for their downloads, doesn't apply to them.
    """
    ours, theirs = socket.socketpair()
    ours.settimeout(None)
    theirs.settimeout(None)
    return ours, theirs


def anonymous_file(name: str) -> BinaryIO:
    """Open a file without a name, which only its holders can read, and which ends with the last."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create(name, os.MFD_CLOEXEC), "w+b")
    return tempfile.TemporaryFile()


def send(
    channel: socket.socket,
    kind: MessageKind,
    number: int = 0,
    write_payload: Callable[[BinaryIO], None] | None = None,
) -> None:
    """Send one message; ``write_payload`` fills its file.

    Raises:
        DiskFullError: There is no room for the payload; nothing was sent.
        OSError: The other side has ended.
    """
    header = _HEADER.pack(kind, number)
    if write_payload is None:
        channel.sendall(header)
        return
    try:
        with anonymous_file("batchflow") as file:
            write_payload(file)
            file.flush()
            socket.send_fds(channel, [header], [file.fileno()])
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFullError(
                f"There is no room left for a chunk between two processes ({error.strerror}). "
                "Make room in memory, or raise the limit on the size of files, then run again; "
                "nothing was lost."
            ) from error
        raise


def receive(channel: socket.socket) -> Message | None:
    """Wait for the next message; return ``None`` if the other side has ended."""
    try:
        header, descriptors, _, _ = socket.recv_fds(channel, _HEADER.size, 1)
        while 0 < len(header) < _HEADER.size:
            more = channel.recv(_HEADER.size - len(header))
            if not more:
                return None
            header += more
    except ConnectionError:
        return None
    if not header:
        return None
    kind, number = _HEADER.unpack(header)
    return Message(MessageKind(kind), number, _mapped(descriptors[0]) if descriptors else None)


def _mapped(descriptor: int) -> pa.Buffer:
    try:
        size = os.fstat(descriptor).st_size
        return pa.py_buffer(mmap.mmap(descriptor, size, prot=mmap.PROT_READ))
    finally:
        os.close(descriptor)
