"""The client of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from batchflow.access.polling import Polling
from batchflow.access.reaching import Reach, ReachedSource
from batchflow.access.stored_catalog import StoredCatalog
from batchflow.credentials import without_credentials
from batchflow.export.exports import Exports
from batchflow.operation import Request, ResultT

if TYPE_CHECKING:
    from batchflow.coordinator import Progress
    from batchflow.definition.workflow import AnyWorkflow
    from batchflow.store import CheckReport
    from batchflow.store.query.metrics import Sample


class StoreClient(Exports):
    """Every question and operation that needs no step code, wherever the store is open.

    Make one with `connect`. It holds nothing between calls, so there is nothing to close; a
    ``with`` block is allowed. Relations read the store when their rows are read.

    Attributes:
        path: The store's file, or the address of its engine.
    """

    def __init__(self, path: str, reach: Reach) -> None:
        self.path = path
        self._reach = reach
        self._source = ReachedSource(reach)
        self._catalog: StoredCatalog = StoredCatalog(self._source, path, reach.mark)
        self._news = Polling(lambda: reach.served)
        # A wrong path is an error at once.
        self._catalog.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing, as nothing is held."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {without_credentials(self.path)!r}>"

    @property
    def served(self) -> bool:
        """Whether an engine has the store open at this moment, and carries out the calls."""
        return self._reach.served

    @property
    def workflows(self) -> tuple[str, ...]:
        """The names of the workflows in the store, sorted."""
        self._catalog.refresh()
        return tuple(self._catalog.tables(None))

    def _samples(self, workflow: AnyWorkflow | str | None = None) -> Mapping[str, Sequence[Sample]]:
        # Of one moment, and opened once rather than for each of the queries.
        with self._reach.kept_open():
            return super()._samples(workflow)

    @property
    def _chunks_in_flight(self) -> int:
        progress = self.progress()
        return 0 if progress is None else progress.chunks_in_flight

    def progress(self) -> Progress | None:
        """Return how far the running drain is, as of its last commit; None where none is running.

        It doesn't query the store.
        """
        return self._reach.call(lambda store: store.progress())

    def check(self) -> CheckReport:
        """Check whether the store is sane; see `Questions`."""
        # Of one moment, and opened once rather than for each of the queries.
        with self._reach.kept_open():
            return super().check()

    def perform(self, request: Request[ResultT]) -> ResultT:
        """Carry out a request and return its result; see `Operations`."""
        return self._reach.call(
            lambda store: store.perform(request, self._catalog), repeatable=False
        )
