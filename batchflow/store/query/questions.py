"""What can be asked of a store, by whoever has it open and by whoever has not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from uuid import UUID

from batchflow.store.query import analysis, queries
from batchflow.store.query.local_source import require_text
from batchflow.store.query.plottable import PlottableRelation
from batchflow.store.query.relation import Params, Relation, Source
from batchflow.store.schema.run_id import run_id_of

if TYPE_CHECKING:
    from batchflow.store.schema.layout import AnyWorkflow
    from batchflow.store.schema.tables import Tables


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

    def counts(self, *, workflow: AnyWorkflow | str | None = None) -> PlottableRelation:
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

    # How runs move.

    def throughput(
        self,
        bucket_seconds: float | None = None,
        *,
        workflow: AnyWorkflow | str | None = None,
    ) -> PlottableRelation:
        """Answer how many transitions there were a second, by the status they started from.

        Its columns are ``bucket`` (TIMESTAMPTZ, where the bucket begins, counted from the epoch),
        ``status``, ``runs`` (transitions of any outcome) and ``runs_per_second``, over the whole
        bucket also where it isn't over yet. Buckets in which nothing moved are left out. Without
        ``bucket_seconds`` they have a usual length, from a second to a day, of which a hundred or
        so hold all transitions that there are now.

        Raises:
            QueryError: transitions aren't recorded, or the buckets have no length.
        """
        return analysis.throughput(self._source, self._tables(workflow), bucket_seconds)

    def durations(self, *, workflow: AnyWorkflow | str | None = None) -> PlottableRelation:
        """Answer how long runs stayed at each status, those that left it.

        Its columns are ``status``, ``runs`` (a run that came back counts each time),
        ``p50_seconds``, ``p95_seconds``, ``p99_seconds`` and ``max_seconds``. A stay begins with
        the run's creation or its arrival, and ends when it advances: failures, repeats and pauses
        in between are part of it. The percentiles are approximate (DuckDB's ``approx_quantile``).

        Raises:
            QueryError: transitions aren't recorded.
        """
        return analysis.durations(self._source, self._tables(workflow))

    def transitions(self, *, workflow: AnyWorkflow | str | None = None) -> PlottableRelation:
        """Answer how often runs went from where to where.

        Its columns are ``from_status``, ``to_status``, ``outcome`` and ``runs``, a run counted each
        time that it went.

        Raises:
            QueryError: transitions aren't recorded.
        """
        return analysis.transitions(self._source, self._tables(workflow))

    def funnel(self, *, workflow: AnyWorkflow | str | None = None) -> PlottableRelation:
        """Answer how far runs got: a row for each status, in the order of their definition.

        Its columns are ``status``, ``reached`` (runs that were ever there), ``here`` (that are
        there now) and ``left`` (that went on to another status; in SQL it is written with quotes).
        A run counts once in each, so one that came back is both here and has left.

        Raises:
            QueryError: transitions aren't recorded.
        """
        return analysis.funnel(self._source, self._tables(workflow))

    def ages(self, *, workflow: AnyWorkflow | str | None = None) -> PlottableRelation:
        """Answer how long nothing happened to the oldest unfinished run at each status.

        Its columns are ``status``, ``runs``, ``oldest`` (its ``updated_at``), ``age_seconds`` (by
        DuckDB's ``now()``, whatever clock the engine has) and ``run_id``.
        """
        return analysis.ages(self._source, self._tables(workflow))

    @abstractmethod
    def _tables(self, workflow: AnyWorkflow | str | None) -> Tables:
        """Return where the runs of a workflow lie, or of the only one."""

    @abstractmethod
    def _tables_of_run(self, run_id: UUID) -> Tables:
        """Return where a run with this id lies; raises RunNotFoundError."""
