"""Putting runs into the store of an engine."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from batchflow import crash_point
from batchflow.engine.holding import Holding
from batchflow.engine.signals import CtrlC
from batchflow.store import LoadOptions

if TYPE_CHECKING:
    import enum
    from uuid import UUID

    from batchflow.definition import AnyWorkflow
    from batchflow.store import LoadReport, SkipOrError


class Triggering(Holding):
    """Starts runs, of one record or of many."""

    def trigger(
        self,
        foreign_id: str,
        object: Any,
        *,
        at: enum.Enum | str | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> UUID:
        """Start a run of one record and answer its run id.

        Args:
            foreign_id: your own key of the record.
            object: an instance of the workflow's object type.
            at: the status to begin at; may be left out where there is one starting point.
            workflow: which workflow; may be left out where the object's type tells.

        Raises:
            ConflictError: an unfinished run has this foreign id.
            InvalidRowsError: a field's value doesn't fit its type.
        """
        chosen = self._workflows.of_object(object, workflow)
        placed = self._store.trigger(chosen, foreign_id, object, at, self._clock.now())
        crash_point.reached("after_load")
        self._coordinator.loaded(chosen.name, placed.code, placed.first_seq, placed.last_seq)
        return placed.run_id

    def trigger_many(
        self,
        source: Any,
        *,
        foreign_id: str | None = None,
        at: enum.Enum | str | None = None,
        workflow: AnyWorkflow | str | None = None,
        on_conflict: SkipOrError = "skip",
        on_invalid: SkipOrError = "error",
        strict: bool = False,
    ) -> LoadReport:
        """Start a run for each row of a source, all in one transaction.

        Args:
            source: a path or glob of Parquet, CSV or JSON files, an Arrow table or reader, a
                pandas or Polars frame, a DuckDB relation, SQL text, or an iterable of objects.
                SQL text reads the store's tables, or files, but not both at once.
            foreign_id: the source's column with your own key of a record.
            at: the status to begin at; may be left out where there is one starting point.
            workflow: which workflow; may be left out where the engine has one.
            on_conflict: rows whose foreign id has an unfinished run, or comes twice in the source:
                ``"skip"`` leaves them out and counts them, ``"error"`` loads nothing and raises.
            on_invalid: rows that don't fit the fields' types: ``"error"`` loads nothing and
                raises, ``"skip"`` leaves them out and counts them.
            strict: refuse a source with columns that are no fields.

        Raises:
            SourceError: the source can't be read, lacks a column, or has one twice.
            InvalidRowsError, ConflictError: as said above; nothing was loaded.
        """
        chosen = self._workflows.only(workflow)
        options = LoadOptions(
            foreign_id=foreign_id,
            at=at,
            on_conflict=on_conflict,
            on_invalid=on_invalid,
            strict=strict,
        )
        self._warm_up(chosen)
        with CtrlC():
            report = self._store.load(chosen, source, options, self._clock.now())
        crash_point.reached("after_load")
        if report.loaded:
            self._coordinator.loaded(chosen.name, report.code, report.first_seq, report.last_seq)
        return report

    @abstractmethod
    def _warm_up(self, workflow: AnyWorkflow) -> None:
        """Prepare for runs of this workflow while they are loaded."""
