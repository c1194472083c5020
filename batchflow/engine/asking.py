"""What an engine answers about its runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from batchflow.engine.life import History
from batchflow.engine.picture import shown
from batchflow.engine.stored_run import StoredRun, stored_run
from batchflow.store.query.questions import Questions
from batchflow.store.schema.layout import literal
from batchflow.store.schema.run_id import run_id_of

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from batchflow.definition import AnyWorkflow
    from batchflow.engine.selection import Selection
    from batchflow.store import Relation, Store
    from batchflow.store.schema.tables import Tables


class Asking(Questions):
    """Questions to the store of an engine, about its workflows; none of them changes a run."""

    def __init__(self, store: Store, workflows: Selection) -> None:
        self._store = store
        self._source = store.source
        self._workflows = workflows

    def __repr__(self) -> str:
        workflows = ", ".join(map(repr, self._workflows.all))
        return f"<{type(self).__name__} {self.path!r}: {workflows}>"

    def _repr_html_(self) -> str:
        return shown(self._store, self._workflows.all)

    @property
    def path(self) -> str:
        """The store's file."""
        return self._store.path

    def get(self, run_id: UUID | str) -> StoredRun[Any, Any]:
        """Answer one run as it is stored now.

        Raises:
            RunNotFoundError: there is no such run.
        """
        wanted = run_id_of(run_id)
        workflow = self._store.workflow_of(wanted)
        row = self._store.get(workflow, wanted)
        until = partial(self._history_until, wanted, row["version"], row["updated_at"])
        return stored_run(workflow, row, History(until))

    def _history_until(self, run_id: UUID, version: int, moment: datetime) -> Relation:
        # Failures have no version where transitions aren't recorded.
        by_then = f"committed_at <= TIMESTAMPTZ {literal(moment.isoformat())}"
        until = f"coalesce(version <= {version}, {by_then})"
        return self.history(run_id).filter(until).order("version, committed_at, attempt")

    def _tables(self, workflow: AnyWorkflow | str | None) -> Tables:
        return self._store.tables(self._workflows.only(workflow))

    def _tables_of_run(self, run_id: UUID) -> Tables:
        return self._store.tables(self._store.workflow_of(run_id))
