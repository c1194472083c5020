"""Finding a store, whoever has it."""

from __future__ import annotations

import os

from batchflow.remote.client import StoreClient
from batchflow.store.reader import ReadOnlyStore


def connect(path: str | os.PathLike[str]) -> StoreClient:
    """Open an existing store to look into it, without its workflows' definitions.

    Raises:
        StoreHeldError: an engine has it open.
        StoreFormatError: there is no such file, or it isn't a store.
    """
    store = ReadOnlyStore(path)
    try:
        return StoreClient(store.path, store, store.close)
    except BaseException:
        store.close()
        raise
