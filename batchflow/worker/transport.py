"""Messages between the coordinator's process and a worker's: a kind, a number, one anonymous file.

Every message is 16 bytes over a Unix socket pair, with at most one file descriptor attached. The
file carries large data. It has no name on any disk, so no other process can read it, and nothing is
left behind if either side is killed. On Linux it is sealed before it is sent, so its bytes and its
size stay what the receiver has checked.
"""

from __future__ import annotations

import array
import enum
import errno
import fcntl
import mmap
import os
import socket
import stat
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final

import pyarrow as pa

from batchflow.errors import DiskFullError

_HEADER = struct.Struct("<qq")
_NO_ROOM = {*DiskFullError.numbers, errno.ENOMEM}
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
# They keep a file as it is, for all that hold it. Only Linux has them.
_SEALS: Final = (
    fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE if sys.platform == "linux" else 0
)


class InvalidMessageError(Exception):
    """A message that a worker can't have sent in order; the message names what is wrong with it."""


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
    ENVELOPE = 10


@dataclass(frozen=True)
class Message:
    """One received message; ``payload`` is mapped, not copied, where its file is sealed."""

    kind: MessageKind
    number: int
    payload: pa.Buffer | None


class Inlet:
    """Takes messages off a worker's socket, without ever waiting for the worker.

    Attributes:
        ended: Whether no process holds the other end any more.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._header = b""
        self._descriptor = -1
        self.ended = False

    def next(self) -> Message | None:
        """Return the next message; None if not all of it has arrived.

        Raises:
            InvalidMessageError: The worker sent something else.
        """
        try:
            missing = _HEADER.size - len(self._header)
            more, descriptors = received(self._channel, missing, flags=socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except ConnectionError:
            more, descriptors = b"", []
        self._header += more
        self._descriptor = descriptors[0] if descriptors else self._descriptor
        self.ended = not more
        if len(self._header) < _HEADER.size:
            return None
        header, self._header = self._header, b""
        descriptor, self._descriptor = self._descriptor, -1
        return _message(header, descriptor)

    def close(self) -> None:
        """Close the descriptor of a message of which only a part has arrived."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


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
    if not hasattr(os, "memfd_create"):
        import tempfile

        return tempfile.TemporaryFile()
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    return os.fdopen(os.memfd_create(name, flags), "w+b")


def fix_size(file: BinaryIO) -> None:
    """Let no holder of the file change its size; on Linux only.

    A process that reads a mapped file is killed by SIGBUS if another one has cut it off.
    """
    if _SEALS:
        fcntl.fcntl(file.fileno(), fcntl.F_ADD_SEALS, _SEALS & ~fcntl.F_SEAL_WRITE)


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
            _seal(file)
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
    header, descriptor = b"", -1
    while len(header) < _HEADER.size:
        try:
            more, descriptors = received(channel, _HEADER.size - len(header))
        except ConnectionError:
            return None
        if not more:
            return None
        header += more
        descriptor = descriptors[0] if descriptors else descriptor
    return _message(header, descriptor)


def received(
    channel: socket.socket, most_bytes: int, most_descriptors: int = 1, flags: int = 0
) -> tuple[bytes, list[int]]:
    """Receive bytes and descriptors, which the programs that a step starts don't inherit.

    `socket.recv_fds` ignores its flags, so the descriptors that it receives are inherited.
    """
    descriptors = array.array("i")
    space = socket.CMSG_LEN(most_descriptors * descriptors.itemsize)
    data, ancillary, _, _ = channel.recvmsg(most_bytes, space, flags | _CLOSE_ON_EXEC)
    for level, kind, sent in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(sent[: len(sent) - len(sent) % descriptors.itemsize])
    if not _CLOSE_ON_EXEC:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
    return data, list(descriptors)


def _message(header: bytes, descriptor: int) -> Message:
    try:
        code, number = _HEADER.unpack(header)
        if code not in _KINDS:
            raise InvalidMessageError(f"a message of the unknown kind {code}")
        payload = None if descriptor < 0 else _payload(descriptor)
        return Message(MessageKind(code), number, payload)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


_KINDS = frozenset(MessageKind)


def _payload(descriptor: int) -> pa.Buffer:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        raise InvalidMessageError("a payload that is no file, or an empty one")
    if not _SEALS:
        # Its sender could cut it off while it is read, so it is copied.
        return pa.py_buffer(_copied(descriptor, found.st_size))
    if not _is_sealed(descriptor):
        raise InvalidMessageError("a payload that its sender can still change")
    # Before Linux 6.7, a sealed file can only be mapped privately, which copies nothing either.
    return pa.py_buffer(
        mmap.mmap(descriptor, found.st_size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    )


def _copied(descriptor: int, size: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return file.read(size)


def _seal(file: BinaryIO) -> None:
    if _SEALS:
        fcntl.fcntl(file.fileno(), fcntl.F_ADD_SEALS, _SEALS)


def _is_sealed(descriptor: int) -> bool:
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS
    except OSError:
        # It is a file of another kind, which has no seals.
        return False
