"""Finding a store, whoever has it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchflow.access.client import StoreClient
from batchflow.access.socket import is_served, reachable, socket_of
from batchflow.errors import StoreError, StoreHeldError
from batchflow.store.read_only_store import ReadOnlyStore

if TYPE_CHECKING:
    from batchflow.access.source import RemoteSource

# An engine that has just taken the store listens soon, and one that has gone has let it go soon.
_PATIENCE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.02
_ELSEWHERE: Final = ("grpc+tls://", "grpc+unix://")


def connect(
    path: str | os.PathLike[str],
    *,
    token: str | None = None,
    certificate: str | os.PathLike[str] | None = None,
) -> StoreClient:
    """Open an existing store to look into it, without its workflows' definitions.

    While an engine has it open, that engine answers, by way of a socket beside the file; otherwise
    the file itself is opened to be read. Whoever asks needn't know which.

    Args:
        path: the store's file; or the address of an engine that listens for others, like
            ``"grpc+tls://host:8815"``.
        token: what such an engine asks for.
        certificate: a file with the certificates (PEM) that its own is held against.

    Raises:
        StoreHeldError: something else has it open, which doesn't answer for it.
        StoreFormatError: there is no such file, or it isn't a store.
        StoreError: there is no engine at that address.
    """
    name = os.fspath(path)
    if name.startswith(_ELSEWHERE):
        known = None if certificate is None else Path(certificate).read_bytes()
        return _by_way_of(name, name, token, known)
    real = os.path.realpath(name)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with contextlib.suppress(StoreError):
            if is_served(real):
                return _beside(real)
        try:
            return _opened(real)
        except StoreHeldError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_LOOK_SECONDS)


def _beside(path: str) -> StoreClient:
    with reachable(socket_of(path)) as address:
        return _by_way_of(f"grpc+unix://{address}", path)


def _by_way_of(
    location: str, path: str, token: str | None = None, certificate: bytes | None = None
) -> StoreClient:
    # Imported where it is needed: whoever opens the file pays nothing for it.
    from batchflow.access.source import RemoteSource

    source: RemoteSource = RemoteSource(location, path, token, certificate)
    try:
        return StoreClient(path, source, source.close, source)
    except BaseException:
        source.close()
        raise


def _opened(path: str) -> StoreClient:
    store = ReadOnlyStore(path)
    try:
        return StoreClient(store.path, store, store.close)
    except BaseException:
        store.close()
        raise
