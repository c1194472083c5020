"""What can be asked of a store, by whoever has it open and by whoever has not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from uuid import UUID

from batchflow.store import queries
from batchflow.store.local_source import require_text
from batchflow.store.relation import Params, Relation, Source
from batchflow.store.run_id import run_id_of

if TYPE_CHECKING:
    from batchflow.store.layout import AnyWorkflow
    from batchflow.store.tables import Tables


class Questions(ABC):
    """Questions about the workflows of a store; none of them changes a run.

    A workflow, or its name, may be left out where there is only one.
    """

    _source: Source

    def sql(self, query: str, params: Params = None) -> Relation:
        """Ask the store in SQL; ``params`` are bound to ``?`` or ``$name``.

        Raises:
            QueryError: it isn't one statement that reads, or DuckDB refuses it.
        """
        require_text(query, "query")
        return Relation(self._source, query, params)

    def runs(
        self, where: str | None = None, *, workflow: AnyWorkflow | str | None = None
    ) -> Relation:
        """Answer the runs that an SQL predicate over their columns chooses, or all.

        Raises:
            QueryError: the predicate can't be executed.
        """
        return queries.runs(self._source, self._tables(workflow), where)

    def counts(self, *, workflow: AnyWorkflow | str | None = None) -> Relation:
        """Answer how many runs stand at each status, in each run state."""
        return queries.counts(self._source, self._tables(workflow))

    def errors(self, *, workflow: AnyWorkflow | str | None = None) -> Relation:
        """Answer the failures by fingerprint: count, first and last seen, steps, a sample."""
        return queries.errors(self._source, self._tables(workflow))

    def history(self, run_id: UUID | str) -> Relation:
        """Answer the transitions of one run in their order, with the error of each that failed.

        Raises:
            RunNotFoundError: there is no such run.
        """
        wanted = run_id_of(run_id)
        return queries.history(self._source, self._tables_of_run(wanted), wanted)

    @abstractmethod
    def _tables(self, workflow: AnyWorkflow | str | None) -> Tables:
        """Return where the runs of a workflow lie, or of the only one."""

    @abstractmethod
    def _tables_of_run(self, run_id: UUID) -> Tables:
        """Return where a run with this id lies; raises RunNotFoundError."""
