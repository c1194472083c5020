"""Ending Flight's servers, also where a client doesn't take what is sent to it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, Protocol

# Clients that read take what was sent to them much sooner.
_READING_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.02
# Where a process lists its open descriptors.
_DESCRIPTORS: Final = "/dev/fd"


class Performing(Protocol):
    """The operations of other processes."""

    @property
    def performing(self) -> bool:
        """Whether an operation is being carried out."""

    def interrupt(self) -> None:
        """End the operations; nothing of them is stored."""


def end(servers: Mapping[Any, str | int], requests: Performing, grace_seconds: float) -> bool:
    """Shut servers down, and return whether all of their calls ended.

    Flight waits for each call without a limit. So operations are interrupted after the grace
    time, and connections on which a call still waits for its client are shut down.

    Args:
        servers: Flight's servers, with the path of the socket or the port where each listens.
        requests: The operations that the servers carry out.
        grace_seconds: How long operations may take to finish.
    """
    ending = [
        threading.Thread(target=server.shutdown, name="batchflow-end", daemon=True)
        for server in servers
    ]
    for thread in ending:
        thread.start()
    began = time.monotonic()
    while _alive(ending):
        waited = time.monotonic() - began
        if waited > (grace_seconds if requests.performing else _READING_SECONDS):
            break
        ending[0].join(_LOOK_SECONDS)
    if _alive(ending):
        requests.interrupt()
        for address in servers.values():
            _shut_down(address)
        for thread in ending:
            thread.join(_READING_SECONDS)
    return not _alive(ending)


def _alive(threads: list[threading.Thread]) -> bool:
    return any(thread.is_alive() for thread in threads)


def _shut_down(address: str | int) -> None:
    """Shut down the connections that were accepted at an address; gRPC has no call for that."""
    for name in os.listdir(_DESCRIPTORS):
        # A descriptor may be closed at any time.
        with contextlib.suppress(OSError):
            connection = _socket_of(int(name))
            if connection is None:
                continue
            with connection:
                if _address(connection) == address:
                    connection.shutdown(socket.SHUT_RDWR)


def _socket_of(descriptor: int) -> socket.socket | None:
    """Return a socket with a descriptor of its own; None if it is something else."""
    duplicate = os.dup(descriptor)
    try:
        return socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        return None


def _address(connection: socket.socket) -> str | int | None:
    """Return the path or the port where a connection was accepted."""
    name = connection.getsockname()
    if connection.family == socket.AF_UNIX:
        return str(name)
    return int(name[1]) if isinstance(name, tuple) else None
