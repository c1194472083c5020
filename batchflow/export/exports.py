"""The exports of a store, wherever it is open."""

from __future__ import annotations

import os
import tempfile
from abc import ABC
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batchflow.definition.run_state import RunState
from batchflow.errors import InvalidOptionError
from batchflow.export.atomic_write import atomic_path
from batchflow.export.earlier_export import is_export
from batchflow.export.files import write_export
from batchflow.export.hand_over import FolderParts, HandOver, Parts
from batchflow.export.tables import TableParts, insert_rows
from batchflow.export.target import (
    EXPORTED,
    Exported,
    ExportFormat,
    ExportTarget,
    export_target,
)
from batchflow.export.uploads import UrlFolder, success_text
from batchflow.operation import ExportReport, Operations
from batchflow.operation import options as checks
from batchflow.operation.public_methods import names_its_methods
from batchflow.operation.which_workflow import chosen_workflow
from batchflow.store.query.questions import Questions
from batchflow.store.schema.layout import literal
from batchflow.store.urls.database import is_database

if TYPE_CHECKING:
    from batchflow.definition.workflow import AnyWorkflow
    from batchflow.operation.parameters import Params
    from batchflow.store.query.relation import Relation


_FINISHED: Final = (
    f"run_state IN ({', '.join(literal(state.name) for state in RunState if state.finished)})"
)


@names_its_methods
class Exports(Operations, Questions, ABC):
    """The operations and questions of a store, and the exports that are made of both."""

    def export(  # noqa: PLR0913 - each is an option of its own, as on the command line
        self,
        to: str | os.PathLike[str],
        what: Exported = "runs",
        *,
        where: str | None = None,
        params: Params = None,
        workflow: AnyWorkflow | str | None = None,
        since: str | None = None,
        table: str | None = None,
        format: ExportFormat | None = None,  # noqa: A002 - what users call it
        partition_by: Sequence[str] | str = (),
        spreadsheet: bool = False,
        replace: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> ExportReport:
        """Write the runs, transitions or errors of a workflow to files, a URL or a database.

        The export has the table as it was at one moment. This process writes it, with its own
        rights, also where another process has the store open.

        With ``since``, only the finished runs are written that the hand-over of this name hasn't
        written yet, as a new folder in ``to`` that is named by their positions in the hand-over. A
        run that finishes again, or is edited, is written again, with its higher version. After a
        kill, the same call writes the same folder again, unless it was complete.

        Args:
            to: The path or URL; ``postgresql://`` for a database, which gets the finished runs. A
                name that ends in ``.parquet``, ``.csv``, ``.json`` or ``.jsonl`` is a file, and any
                other one a folder.
            what: The table: ``"runs"``, ``"transitions"`` or ``"errors"``.
            where: An SQL predicate over the table's columns; only rows that satisfy it.
            params: The values of its parameters.
            workflow: The workflow; may be left out where there is only one.
            since: The name of a hand-over, such as ``"nightly"``.
            table: The table of a database, which may have a schema before a dot. A run whose
                ``run_id`` it has already is left out.
            format: The format of the files in a folder: ``"parquet"`` (default), ``"csv"`` or
                ``"json"``.
            partition_by: Columns; there is a folder per combination of their values.
            spreadsheet: Whether a spreadsheet may take no text of a CSV file for a formula.
            replace: Whether an earlier export at ``to`` is replaced; any other file never is. With
                ``since``, whether an interrupted part is written to ``to`` although it was begun
                for another destination.
            storage_options: What fsspec takes for a URL, such as credentials.

        Raises:
            InvalidOptionError: Something is there already, or a column doesn't exist.
            QueryError: The predicate can't be executed, or the format has no type for a column.
            ExportError: The files or the table can't be written.
        """
        checks.require_choice(what, EXPORTED, "what")
        if is_database(to) or table is not None:
            # Of a table, only an interrupted part can be replaced.
            replaced = replace and since is None
            files = format, storage_options, partition_by or None, spreadsheet or None
            given = replaced or any(each is not None for each in files)
            parts = _table_of(to, table, what, given)
            name = self._name_of(workflow)
            if since is not None:
                return self._hand_over(parts, HandOver(since, where, params, name, replace))
            finished = self.runs(where, params, workflow=name).filter(_FINISHED)
            rows = insert_rows(parts.url, parts.table, finished)
            return ExportReport("runs", rows, parts.shown)
        target = export_target(
            to,
            format=format,
            partition_by=partition_by,
            spreadsheet=spreadsheet,
            replace=replace,
            storage_options=storage_options,
            as_folder=since is not None,
        )
        name = self._name_of(workflow)
        if since is not None:
            if what != "runs":
                raise InvalidOptionError(
                    "since hands over the finished runs that are new, so it takes no other table.",
                    option="since",
                )
            _require_columns(target, "runs", self.runs(workflow=name))
            folder = FolderParts(target)
            return self._hand_over(folder, HandOver(since, where, params, name, replace))
        relation = self._exported(what, where, params, name)
        _require_columns(target, what, relation)
        return _written(target, what, relation)

    def _name_of(self, workflow: AnyWorkflow | str | None) -> str:
        return chosen_workflow(self._catalog.tables(None), checks.workflow_name(workflow))

    def _exported(
        self, what: Exported, where: str | None, params: Params, workflow: str
    ) -> Relation:
        from batchflow.store.schema.layout import quote

        if what == "runs":
            return self.runs(where, params, workflow=workflow)
        rows = self.sql(f"SELECT * FROM {quote(workflow)}.{what}")
        return rows if where is None else rows.filter(where, params)

    def _hand_over(self, parts: Parts, given: HandOver) -> ExportReport:
        part = self.begin_export(
            given.since,
            given.where,
            given.params,
            to=parts.destination,
            replace=given.replace,
            workflow=given.workflow,
        )
        if part.number is None:
            return ExportReport("runs", 0, parts.shown)
        rows, files = parts.write(part, given.since, self.sql(part.query))
        self.end_export(part.number)
        return ExportReport("runs", rows, parts.shown, tuple(files), part.first, part.last)


def _table_of(to: object, table: object, what: str, for_files: bool) -> TableParts:
    if not isinstance(to, str) or not is_database(to):
        raise InvalidOptionError(
            "table is for a database, and to isn't a URL that begins with postgresql://.",
            option="table",
        )
    if not isinstance(table, str) or not table.strip():
        raise InvalidOptionError(
            "A database gets the runs in one of its tables; name it with table=.", option="table"
        )
    if what != "runs" or for_files:
        raise InvalidOptionError(
            "A database gets the finished runs, so it takes no other table of the store and no "
            "options of files.",
            option="to",
        )
    return TableParts(to, table)


def _require_columns(target: ExportTarget, what: str, relation: Relation) -> None:
    missing = [name for name in target.partition_by if name not in relation.columns]
    if missing:
        raise InvalidOptionError(
            f"partition_by: {what} has no column {missing[0]!r}. Its columns are "
            f"{', '.join(relation.columns)}.",
            option="partition_by",
        )


def _written(target: ExportTarget, what: str, relation: Relation) -> ExportReport:
    if target.is_url:
        return _uploaded(target, what, relation)
    path = Path(target.to)
    if os.path.lexists(path):
        _refuse_to_replace(target, path)
    with atomic_path(path) as beside:
        rows = write_export(beside, relation, target)
    return ExportReport(what, rows, target.shown)


def _refuse_to_replace(target: ExportTarget, path: Path) -> None:
    exists = f"{target.shown!r} already exists"
    if not target.replace:
        raise InvalidOptionError(
            f"{exists}. Give replace=True to replace it, or another name.", option="replace"
        )
    if not is_export(path, target.form, is_folder=target.is_folder):
        raise InvalidOptionError(
            f"{exists}, and isn't an earlier export. Give another name, or remove it.", option="to"
        )


def _uploaded(target: ExportTarget, what: str, relation: Relation) -> ExportReport:
    folder = UrlFolder(target.to, target.storage_options)
    folder.require_new(is_folder=target.is_folder, replace=target.replace)
    with tempfile.TemporaryDirectory(prefix="batchflow-export-") as temporary:
        written = Path(temporary) / f"export{'' if target.is_folder else target.form.value}"
        rows = write_export(written, relation, target)
        if target.is_folder:
            folder.clear()
        files = folder.upload(written)
        if target.is_folder:
            folder.succeed(success_text({"table": what, "rows": rows}, files))
    return ExportReport(what, rows, target.shown)
