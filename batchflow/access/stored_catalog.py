"""The workflows of a store as its file describes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from batchflow.definition.workflow import AnyWorkflow
from batchflow.errors import QueryError, StoreFormatError
from batchflow.store.database.store_error import damaged_file, is_damage
from batchflow.store.query.catalog import tables_with
from batchflow.store.query.described_workflows import DescribedWorkflow, described_workflows
from batchflow.store.query.source import Source
from batchflow.store.schema.stored_definition import restored
from batchflow.store.schema.tables import Tables


class StoredCatalog:
    """Reads the workflows when they are first needed, and again where one isn't found.

    Args:
        source: The store.
        path: Its file, for messages.
        mark: Returns what stays the same until the store is changed; None, as by default, if that
            isn't known.
    """

    def __init__(
        self, source: Source, path: str, mark: Callable[[], object] = lambda: None
    ) -> None:
        self._source = source
        self._path = path
        self._mark = mark
        self._read_at: object = None
        self._known: dict[str, DescribedWorkflow] = {}

    def tables(self, name: str | None) -> Mapping[str, Tables]:
        """Return where the tables of all workflows are; see `Catalog`."""
        if not self._known or (name is not None and name not in self._known):
            self.refresh()
        return {each: stored.tables for each, stored in self._known.items()}

    def tables_of_run(self, run_id: UUID) -> Tables | None:
        """Return where the tables of the workflow with such run ids are."""
        found = tables_with(self.tables(None), run_id)
        if found is None:
            self.refresh()
            found = tables_with(self.tables(None), run_id)
        return found

    def definition(self, name: str) -> AnyWorkflow:
        """Return a workflow as it is stored, without the code of its steps; see `Catalog`."""
        described = self._known[name].definition
        if described is None:
            raise StoreFormatError(
                f"The store {self._path!r} doesn't have the definition of workflow {name!r}, as an "
                "older batchflow wrote it; open the store once with Engine(path, workflow)."
            )
        return restored(name, described)

    def refresh(self) -> bool:
        """Read the workflows again, unless the file is unchanged; return whether they differ."""
        mark = self._mark()
        if mark is not None and mark == self._read_at:
            return False
        before = self._known
        try:
            self._known = described_workflows(self._source)
        except QueryError as error:
            if is_damage(error.found):
                raise damaged_file(self._path, error.found) from error
            raise
        self._read_at = mark
        return self._known != before
