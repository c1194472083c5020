"""A store that no engine has open: its file is opened for each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from batchflow.access.shared_file import SharedFile
from batchflow.clock import SystemClock
from batchflow.operation import Request, ResultT
from batchflow.operation.parameters import Params
from batchflow.store import Store
from batchflow.store.query.source import Columns, Rows

if TYPE_CHECKING:
    from batchflow.coordinator import Progress
    from batchflow.store.query.catalog import Catalog


class FileStore:
    """Opens the file to read it or to change it, and closes it when the call is done.

    Args:
        path: The store's file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._clock = SystemClock()

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Open the file once for all queries in the block; it can't be changed meanwhile."""
        with SharedFile.at(self._path).reading():
            yield

    @contextmanager
    def rows(self, query: str, params: Params) -> Iterator[Rows]:
        """Execute a query; see `Source`."""
        with SharedFile.at(self._path).reading() as store, store.source.rows(query, params) as rows:
            yield rows

    def read(self, query: str, params: Params, action: Callable[[Rows], ResultT]) -> ResultT:
        """Execute a query and return what `action` makes of its rows; see `Source`."""
        with SharedFile.at(self._path).reading() as store:
            return store.source.read(query, params, action)

    def describe(self, query: str, params: Params) -> Columns:
        """Return the columns of a query; see `Source`."""
        with SharedFile.at(self._path).reading() as store:
            return store.source.describe(query, params)

    def perform(self, request: Request[ResultT], catalog: Catalog) -> ResultT:  # noqa: ARG002
        """Open the file, carry out an operation, and close it."""
        with (
            SharedFile.at(self._path).writing(),
            closing(Store.open_as_stored(self._path, clock=self._clock.now)) as store,
        ):
            return store.perform(request, self._clock.now())

    def progress(self) -> Progress | None:
        """Return None, as no drain is running."""
        return None
