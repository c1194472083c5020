"""Connecting to a store, whether or not an engine has it open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

from batchflow.access.client import StoreClient
from batchflow.access.reaching import Reach, ReachAddress, ReachFile
from batchflow.errors import InvalidOptionError
from batchflow.operation.options import path_text, require_text

_ADDRESSES: Final = ("grpc+tls://", "grpc+unix://")


def connect(
    path: str | os.PathLike[str],
    *,
    token: str | None = None,
    certificate: str | os.PathLike[str] | None = None,
) -> StoreClient:
    """Return a client of an existing store, which needs no definition of its workflows.

    While an engine has the store open, each call goes to that engine, through a socket beside the
    file. Otherwise the call opens the file and closes it again. The client holds nothing between
    calls: it never keeps an engine from opening the store, and it continues to work when an engine
    starts or stops in between.

    Args:
        path: The store's file; or the address of an engine that listens on a network, like
            ``"grpc+tls://host:8815"``.
        token: The token that such an engine demands.
        certificate: A file with the certificates (PEM) that the engine's own is checked against.

    Raises:
        StoreHeldError: Another process has the store open and doesn't listen.
        StoreFormatError: There is no such file, or it isn't a store.
        StoreError: There is no engine at that address.
        InvalidOptionError: An option has a value that isn't allowed.
    """
    name = path_text(path, "path", "the path of a store, or the address of an engine")
    if token is not None:
        require_text(token, "token")
    reach: Reach
    if name.startswith(_ADDRESSES):
        from batchflow.access.remote_store import RemoteStore

        known = None if certificate is None else _certificates(certificate)
        reach = ReachAddress(RemoteStore(name, lambda: nullcontext(name), token, known))
    else:
        name = os.path.realpath(name)
        reach = ReachFile(name)
    return StoreClient(name, reach)


def _certificates(given: object) -> bytes:
    path = path_text(given, "certificate", "the path of a file")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidOptionError(
            f"certificate is {path!r}, which can't be read ({error.strerror}); give the path of a "
            "file with certificates.",
            option="certificate",
        ) from None


@contextmanager
def open_once(path: str | os.PathLike[str]) -> Iterator[None]:
    """Have all that only read a store within the block open its file once, if it is closed."""
    if not os.path.isfile(path):
        yield
        return
    with ReachFile(os.path.realpath(path)).kept_open():
        yield
