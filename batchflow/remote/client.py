"""A store as it is seen from outside its engine."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import UUID

from batchflow.definition.workflow import Workflow
from batchflow.errors import QueryError
from batchflow.store.queries import is_of, not_found
from batchflow.store.questions import Questions
from batchflow.store.relation import Source
from batchflow.store.tables import StoredTables, stored_tables

if TYPE_CHECKING:
    from batchflow.store.layout import AnyWorkflow


class StoreClient(Questions):
    """A store to look into; close it, or use it in a ``with`` block.

    Attributes:
        path: the store's file.
        workflows: the names of the workflows in it, sorted.
    """

    def __init__(self, path: str, source: Source, close: Callable[[], None]) -> None:
        self.path = path
        self._source = source
        self._close = close
        self._stored: dict[str, StoredTables] = stored_tables(source)
        self.workflows: tuple[str, ...] = tuple(self._stored)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let it go; relations made from it end with it; a second call does nothing."""
        self._close()

    def workflow_of(self, run_id: UUID) -> str:
        """Return the name of the workflow whose runs have ids like this one.

        Raises:
            RunNotFoundError: none has.
        """
        return self._tables_of_run(run_id).name

    def _tables_of_run(self, run_id: UUID) -> StoredTables:
        for tables in self._stored.values():
            if is_of(tables, run_id):
                return tables
        raise not_found(run_id)

    def _tables(self, workflow: AnyWorkflow | str | None) -> StoredTables:
        name = workflow.name if isinstance(workflow, Workflow) else workflow
        if name is None and len(self._stored) == 1:
            return next(iter(self._stored.values()))
        if name not in self._stored:
            asked = "no workflow is named" if name is None else f"it has no {name!r}"
            there = ", ".join(map(repr, self._stored)) or "none yet"
            raise QueryError(
                f"The store {self.path!r} was asked about one workflow and {asked}; its workflows "
                f"are: {there}."
            )
        return self._stored[name]
