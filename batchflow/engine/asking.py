"""What an engine answers about its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchflow.engine.arguments import run_id_of
from batchflow.engine.stored_run import StoredRun, stored_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    import duckdb

    from batchflow.definition import AnyWorkflow
    from batchflow.engine.selection import Selection
    from batchflow.store import Store


class Asking:
    """Questions to a store, about the workflows that were chosen; none of them changes a run."""

    def __init__(self, store: Store, workflows: Selection) -> None:
        self._store = store
        self._workflows = workflows

    @property
    def path(self) -> str:
        """The store's file."""
        return self._store.path

    def sql(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Ask the store in SQL; ``params`` are bound to ``?`` or ``$name``."""
        return self._store.sql(query, params)

    def runs(
        self, where: str | None = None, *, workflow: AnyWorkflow | str | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Answer the runs that an SQL predicate over their columns chooses."""
        return self._store.runs(self._workflows.only(workflow), where)

    def counts(self, *, workflow: AnyWorkflow | str | None = None) -> duckdb.DuckDBPyRelation:
        """Answer how many runs stand at each status, in each run state."""
        return self._store.counts(self._workflows.only(workflow))

    def errors(self, *, workflow: AnyWorkflow | str | None = None) -> duckdb.DuckDBPyRelation:
        """Answer the failures by fingerprint: count, first and last seen, steps, a sample."""
        return self._store.errors(self._workflows.only(workflow))

    def history(self, run_id: UUID | str) -> duckdb.DuckDBPyRelation:
        """Answer the transitions of one run, in their order."""
        wanted = run_id_of(run_id)
        return self._store.history(self._store.workflow_of(wanted), wanted)

    def get(self, run_id: UUID | str) -> StoredRun[Any, Any]:
        """Answer one run as it is stored now.

        Raises:
            RunNotFoundError: there is no such run.
        """
        wanted = run_id_of(run_id)
        workflow = self._store.workflow_of(wanted)
        return stored_run(workflow, self._store.get(workflow, wanted))
