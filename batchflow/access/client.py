"""A store as it is seen from outside its engine."""

from __future__ import annotations

import dataclasses
import enum
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import pyarrow as pa

from batchflow.access.answers import load_report_of, progress_of
from batchflow.access.commands import Commands, sent_moment
from batchflow.chunk.chunk import FOREIGN_ID
from batchflow.definition.workflow import Workflow
from batchflow.errors import EngineStateError, QueryError, SourceError
from batchflow.store.query.questions import Questions
from batchflow.store.query.relation import Source
from batchflow.store.query.stored_tables import stored_tables
from batchflow.store.runs.lifecycle import Moved
from batchflow.store.runs.prune import Pruned
from batchflow.store.schema.run_id import is_of, run_not_found
from batchflow.store.schema.tables import StoredTables

if TYPE_CHECKING:
    from batchflow.coordinator import Progress
    from batchflow.store.loading.load_report import LoadReport
    from batchflow.store.schema.layout import AnyWorkflow


class StoreClient(Questions):
    """A store to look into; close it, or use it in a ``with`` block.

    Where an engine has the store open, that is who answers, and who carries out what is asked for
    between its commits. Where nobody has, the file itself is read, and what would change it raises
    `EngineStateError`.

    Attributes:
        path: the store's file.
        workflows: the names of the workflows in it, sorted.
    """

    def __init__(
        self,
        path: str,
        source: Source,
        close: Callable[[], None],
        commands: Commands | None = None,
    ) -> None:
        self.path = path
        self._source = source
        self._close = close
        self._commands = commands
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

    @property
    def served(self) -> bool:
        """Whether an engine answers, and may be told to do something."""
        return self._commands is not None

    # What an engine does.

    def trigger(
        self,
        foreign_id: str,
        object: Any,
        *,
        at: enum.Enum | str | None = None,
        workflow: AnyWorkflow | str | None = None,
    ) -> UUID:
        """Start a run of one record and answer its run id; see `Engine.trigger`.

        Args:
            foreign_id: your own key of the record.
            object: a dataclass instance, or a mapping of the fields' values by name.
            at: the status to begin at; may be left out where there is one starting point.
            workflow: which workflow; may be left out where the engine has one.
        """
        values = object if isinstance(object, Mapping) else _fields_of(object)
        row = pa.Table.from_pylist([{**values, FOREIGN_ID: foreign_id}])
        options = {"foreign_id": FOREIGN_ID, "on_conflict": "error", **_where_to(at, workflow)}
        told = self._engine.load_rows(row.to_reader(), options)
        return UUID(told["run_id"])

    def trigger_many(
        self,
        source: Any,
        *,
        foreign_id: str | None = None,
        at: enum.Enum | str | None = None,
        workflow: AnyWorkflow | str | None = None,
        **options: Any,
    ) -> LoadReport:
        """Start a run for each row of a source; see `Engine.trigger_many`.

        The engine's process reads files itself, by their absolute path; anything that gives Arrow
        a stream (tables, readers, frames, relations) is sent.
        """
        given = {"foreign_id": foreign_id, **_where_to(at, workflow), **options}
        if isinstance(source, str | os.PathLike):
            return load_report_of(self._engine.load_file(_as_seen_elsewhere(source), given))
        if not hasattr(source, "__arrow_c_stream__"):
            raise SourceError(
                f"A source of type {type(source).__name__} can't be sent to the engine; give a "
                "path, or an Arrow table, a frame or a relation."
            )
        return load_report_of(
            self._engine.load_rows(pa.RecordBatchReader.from_stream(source), given)
        )

    def pause(self, where: str | None = None, **options: Any) -> Moved:
        """Pause runs; see `Engine.pause`."""
        return self._moved("pause", where, options)

    def resume(self, where: str | None = None, **options: Any) -> Moved:
        """Let paused runs go on; see `Engine.resume`."""
        return self._moved("resume", where, options)

    def cancel(self, where: str | None = None, **options: Any) -> Moved:
        """End runs where they stand, for good; see `Engine.cancel`."""
        return self._moved("cancel", where, options)

    def prune(
        self,
        finished_before: timedelta | datetime,
        where: str | None = None,
        *,
        workflow: AnyWorkflow | str | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove finished runs of the engine's workflows; see `Engine.prune`."""
        options = {
            **sent_moment(finished_before),
            "where": where,
            "workflow": workflow.name if isinstance(workflow, Workflow) else workflow,
            "dry_run": dry_run,
        }
        return Pruned(**self._engine.command("prune", options))

    def stop(self) -> bool:
        """Have the drain under way end: chunks in flight finish within its grace time.

        Answers whether there was one; doesn't wait for its end.
        """
        return bool(self._engine.command("stop", {})["stopping"])

    def progress(self) -> Progress | None:
        """Answer how far the drain under way is, as of its last commit; None where there is none.

        It asks nothing of the store.
        """
        if self._commands is None:
            return None
        told = self._commands.command("progress", {})["progress"]
        return None if told is None else progress_of(told)

    def _moved(self, verb: str, where: str | None, options: Mapping[str, Any]) -> Moved:
        given = dict(options)
        run_ids: Iterable[UUID | str] | None = given.pop("run_ids", None)
        if run_ids is not None:
            given["run_ids"] = [str(run_id) for run_id in run_ids]
        workflow = given.get("workflow")
        if isinstance(workflow, Workflow):
            given["workflow"] = workflow.name
        return Moved(**self._engine.command(verb, {"where": where, **given}))

    @property
    def _engine(self) -> Commands:
        if self._commands is None:
            raise EngineStateError(
                f"No engine has the store {self.path!r} open: start one, or open it yourself with "
                "Engine(path, workflow) to change runs."
            )
        return self._commands

    # What is asked.

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
        raise run_not_found(run_id)

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


def _fields_of(object: Any) -> Mapping[str, Any]:
    if not dataclasses.is_dataclass(object) or isinstance(object, type):
        raise SourceError(
            f"An object of type {type(object).__name__} can't be sent to the engine; give a "
            "dataclass instance, or a mapping of its fields."
        )
    return dataclasses.asdict(object, dict_factory=_sendable)


def _sendable(fields: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, enum.Enum) else value for name, value in fields}


def _where_to(
    at: enum.Enum | str | None, workflow: AnyWorkflow | str | None
) -> dict[str, str | None]:
    return {
        "at": at.name if isinstance(at, enum.Enum) else at,
        "workflow": workflow.name if isinstance(workflow, Workflow) else workflow,
    }


def _as_seen_elsewhere(source: str | os.PathLike[str]) -> str:
    """Return a path or glob that means the same in another process; SQL text stays as it is."""
    text = os.fspath(source)
    looks_like_sql = isinstance(source, str) and any(mark in text for mark in "\n (")
    return text if looks_like_sql and not Path(text).exists() else os.path.abspath(text)
