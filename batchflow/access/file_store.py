"""A store that no engine has open: its file is opened for each call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from batchflow.clock import SystemClock
from batchflow.operation import Request, ResultT
from batchflow.store import Store
from batchflow.store.query.source import Columns, Params, Rows
from batchflow.store.read_only_store import ReadOnlyStore

if TYPE_CHECKING:
    from batchflow.coordinator import Progress
    from batchflow.store.query.catalog import Catalog


class FileStore:
    """Opens the file to read it or to change it, and closes it when the call is done.

    Overlapping reads share one connection, as DuckDB drops the lock on a file when the same process
    opens and closes it once more.

    Args:
        path: The store's file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._clock = SystemClock()
        self._sharing = threading.Lock()
        self._shared: ReadOnlyStore | None = None
        self._readers = 0

    @contextmanager
    def rows(self, query: str, params: Params) -> Iterator[Rows]:
        """Execute a query; see `Source`."""
        with self._reading() as store, store.source.rows(query, params) as rows:
            yield rows

    def describe(self, query: str, params: Params) -> Columns:
        """Return the columns of a query; see `Source`."""
        with self._reading() as store:
            return store.source.describe(query, params)

    def perform(self, request: Request[ResultT], catalog: Catalog) -> ResultT:  # noqa: ARG002
        """Open the file, carry out an operation, and close it."""
        with closing(Store.open_as_stored(self._path, clock=self._clock.now)) as store:
            return store.perform(request, self._clock.now())

    def progress(self) -> Progress | None:
        """Return None, as no drain is running."""
        return None

    @contextmanager
    def _reading(self) -> Iterator[ReadOnlyStore]:
        with self._sharing:
            store = self._shared = self._shared or ReadOnlyStore(self._path)
            self._readers += 1
        try:
            yield store
        finally:
            with self._sharing:
                self._readers -= 1
                if not self._readers:
                    self._shared = None
                    store.close()
