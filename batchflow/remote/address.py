"""Where the socket of a store is."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# What a socket's address has room for, with the zero at its end: 108 on Linux, 104 elsewhere.
_MOST_BYTES: Final = 103
_DESCRIPTORS: Final = Path("/proc/self/fd")


def socket_of(store: str) -> Path:
    """Return the path of the socket beside a store."""
    return Path(f"{store}.sock")


def is_served(store: str) -> bool:
    """Tell whether somebody listens there; a socket that was left behind doesn't count."""
    path = socket_of(store)
    with contextlib.suppress(OSError), short(path) as address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(address))
        return True
    return False


@contextlib.contextmanager
def short(path: Path) -> Iterator[Path]:
    """Answer another path to the same place where this one is too long for a socket.

    Raises:
        OSError: there is none.
    """
    if len(os.fsencode(path)) <= _MOST_BYTES:
        yield path
        return
    if not _DESCRIPTORS.is_dir():
        raise OSError(f"the path {str(path)!r} is too long for a socket")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _DESCRIPTORS / str(folder) / path.name
    finally:
        os.close(folder)


@contextlib.contextmanager
def cradle(store: str) -> Iterator[Path]:
    """Answer where to make a socket that nobody else can reach before it is its owner's alone.

    At the end it gets its place beside the store; one that was left there is replaced.
    """
    folder = Path(f"{store}.sock.new")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(0o700)
    try:
        made = folder / "s"
        with short(made) as address:
            yield address
        made.chmod(0o600)
        made.rename(socket_of(store))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
