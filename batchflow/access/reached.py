"""A store that was reached for one call, by whatever way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from batchflow.operation import Request, ResultT
from batchflow.operation.parameters import Params
from batchflow.store.query.source import Columns, Rows

if TYPE_CHECKING:
    from batchflow.coordinator import Progress
    from batchflow.store.query.catalog import Catalog


class ReachedStore(Protocol):
    """Carries out one call, and holds nothing afterwards."""

    def rows(self, query: str, params: Params) -> AbstractContextManager[Rows]:
        """Execute a query; see `Source`."""

    def read(self, query: str, params: Params, action: Callable[[Rows], ResultT]) -> ResultT:
        """Execute a query and return what `action` makes of its rows; see `Source`."""

    def describe(self, query: str, params: Params) -> Columns:
        """Return the columns of a query; see `Source`."""

    def perform(self, request: Request[ResultT], catalog: Catalog) -> ResultT:
        """Carry out an operation; `catalog` has the definitions that an object is sent by."""

    def progress(self) -> Progress | None:
        """Return how far the running drain is; None where none is running."""
