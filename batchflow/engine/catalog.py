"""The workflows that an engine was given, with their definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from batchflow.store.query.catalog import tables_with

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow
    from batchflow.store import Store
    from batchflow.store.schema.tables import Tables


class EngineCatalog:
    """Knows the workflows of one engine; see `Catalog`."""

    def __init__(self, store: Store, workflows: Mapping[str, AnyWorkflow]) -> None:
        self._workflows = workflows
        self._tables = {name: store.tables(workflow) for name, workflow in workflows.items()}

    def tables(self, name: str | None) -> Mapping[str, Tables]:  # noqa: ARG002
        """Return where the tables of the engine's workflows are."""
        return self._tables

    def tables_of_run(self, run_id: UUID) -> Tables | None:
        """Return where the tables of the workflow with such run ids are."""
        return tables_with(self._tables, run_id)

    def refresh(self) -> bool:
        """Return False, as nothing changes the workflows of an engine."""
        return False

    def definition(self, name: str) -> AnyWorkflow:
        """Return a workflow as it was given."""
        return self._workflows[name]
