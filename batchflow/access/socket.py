"""Where the socket of a store is."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# What a socket's address has room for, with the zero at its end: 108 on Linux, 104 elsewhere.
_MOST_CHARACTERS: Final = 103
# Flight takes an address for a URI, and gRPC takes it apart once more.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._-]*")
_DESCRIPTORS: Final = Path("/proc/self/fd")
# Linux alone has this, and these descriptors.
_PATH_ALONE: Final = getattr(os, "O_PATH", os.O_RDONLY)


def socket_of(store: str) -> Path:
    """Return the path of the socket beside a store."""
    return Path(f"{store}.sock")


def is_served(store: str) -> bool:
    """Tell whether somebody listens there; a socket that was left behind doesn't count."""
    with contextlib.suppress(OSError), reachable(socket_of(store)) as address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(address))
        return True
    return False


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[Path]:
    """Answer a path to a socket that Flight takes, also where its own is too long or strange.

    Raises:
        OSError: there is no such socket, or no such path.
    """
    if _is_plain(path):
        yield path
        return
    with _described(path, _PATH_ALONE) as described:
        yield described


@contextlib.contextmanager
def cradle(store: str) -> Iterator[Path]:
    """Answer where to make a socket that nobody else can reach before it is its owner's alone.

    At the end it gets its place beside the store; one that was left there is replaced.
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
    """Answer a path by way of an open descriptor, which has nothing of the path's own text."""
    if not _DESCRIPTORS.is_dir():
        raise OSError(f"the path {str(path)!r} is too long for a socket, or has special characters")
    descriptor = os.open(path, flags)
    try:
        yield _DESCRIPTORS / str(descriptor)
    finally:
        os.close(descriptor)
