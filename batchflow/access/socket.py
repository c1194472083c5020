"""The socket of a store."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# The longest address of a socket: 108 bytes on Linux, 104 elsewhere, with the zero at its end.
_MOST_CHARACTERS: Final = 103
# Flight parses an address as a URI, and gRPC parses it once more.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._-]*")
_DESCRIPTORS: Final = Path("/proc/self/fd")
# Only Linux has this, and the descriptors above.
_PATH_ALONE: Final = getattr(os, "O_PATH", os.O_RDONLY)


def socket_of(store: str) -> Path:
    """Return the path of the socket beside a store."""
    return Path(f"{store}.sock")


def is_served(store: str) -> bool:
    """Return whether an engine listens there; a leftover socket doesn't count."""
    with contextlib.suppress(OSError), reachable(socket_of(store)) as address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(address))
        return True
    return False


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[Path]:
    """Provide a path to a socket that Flight accepts, also if its own is too long or unusual.

    Raises:
        OSError: There is no such socket, or no such path.
    """
    if _is_plain(path):
        yield path
        return
    with _described(path, _PATH_ALONE) as described:
        yield described


@contextlib.contextmanager
def new_socket(store: str) -> Iterator[Path]:
    """Provide a path for a new socket, which only its owner can reach from the start.

    At the end the socket is moved beside the store; a leftover socket there is replaced.
    """
    folder = Path(f"{store}.sock.new")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(0o700)
    made = folder / "s"
    try:
        if _is_plain(made):
            yield made
        else:
            with _described(folder, os.O_RDONLY) as described:
                yield described / "s"
        made.chmod(0o600)
        made.rename(socket_of(store))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_plain(path: Path) -> bool:
    text = os.fspath(path)
    return len(text) <= _MOST_CHARACTERS and _PLAIN.fullmatch(text) is not None


@contextlib.contextmanager
def _described(path: Path, flags: int) -> Iterator[Path]:
    """Provide a path through an open descriptor, which has none of the path's own text."""
    if not _DESCRIPTORS.is_dir():
        raise OSError(
            f"The path {str(path)!r} is too long for a socket, or has special characters."
        )
    descriptor = os.open(path, flags)
    try:
        yield _DESCRIPTORS / str(descriptor)
    finally:
        os.close(descriptor)
