"""``batchflow export``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from batchflow.cli.atomic_write import atomic_path
from batchflow.cli.earlier_export import is_csv_export, is_folder_export, is_parquet_export
from batchflow.cli.export_files import (
    ExportForm,
    write_csv_file,
    write_folder,
    write_parquet_file,
)
from batchflow.cli.opening import opened_store
from batchflow.cli.options import json_option, one_workflow_option, store_option
from batchflow.cli.output import write, write_document
from batchflow.cli.workflow_choice import choose_workflow
from batchflow.short_form import counted

if TYPE_CHECKING:
    from batchflow.cli.opening import OpenedStore
    from batchflow.store import Relation


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The table to write, and the file or folder to write to."""

    table: str
    out: str
    store: Path
    workflow: str | None
    where: str | None
    partition_by: tuple[str, ...]
    spreadsheet: bool
    force: bool
    as_json: bool

    def __post_init__(self) -> None:
        if not self.path.name:
            raise click.UsageError("Give the name of a file or folder to write to.")
        if self.partition_by and self.form is not ExportForm.FOLDER:
            raise click.UsageError(
                f"--partition-by writes a folder, but {self.out!r} is the name of a file."
            )
        if self.spreadsheet and self.form is not ExportForm.CSV:
            raise click.UsageError(f"--spreadsheet is for CSV, and {self.out!r} isn't a .csv file.")
        if os.path.lexists(self.path):
            self._refuse_to_replace()

    @property
    def path(self) -> Path:
        """The file or folder."""
        return Path(self.out)

    @property
    def form(self) -> ExportForm:
        """The form that is written, by the ending of its name.

        Raises:
            UsageError: The ending is that of another format.
        """
        suffix = self.path.suffix.lower()
        if not suffix or self.out.endswith("/"):
            return ExportForm.FOLDER
        form = next((form for form in ExportForm if form.value == suffix), None)
        if form is None:
            raise click.UsageError(
                f"{self.out!r} ends in {suffix!r}, which is no format of exports. Give a name that "
                "ends in .parquet or .csv, or a folder: a name without an ending, or with a slash."
            )
        return form

    def _refuse_to_replace(self) -> None:
        exists = f"{self.out!r} already exists"
        if not self.force:
            raise click.UsageError(f"{exists}. Give --force to replace it, or another name.")
        if not _IS_EXPORT[self.form](self.path):
            raise click.UsageError(
                f"{exists}, and isn't an earlier export. Give another name, or remove it."
            )


_IS_EXPORT: Final = {
    ExportForm.CSV: is_csv_export,
    ExportForm.PARQUET: is_parquet_export,
    ExportForm.FOLDER: is_folder_export,
}


@click.command(
    epilog="""\b
Examples:
  batchflow export runs --store orders.duckdb --where "run_state = 'COMPLETED'" done.parquet
  batchflow export transitions --store orders.duckdb --partition-by to_status transitions/
""",
)
@click.argument("table", type=click.Choice(["runs", "transitions", "errors"]))
@click.argument("out", metavar="OUT.parquet|OUT.csv|FOLDER", type=click.Path())
@store_option
@one_workflow_option
@click.option(
    "--where", metavar="SQL", help="Only rows that satisfy this SQL predicate over the columns."
)
@click.option(
    "--partition-by",
    metavar="COLUMN",
    multiple=True,
    help="Write one folder per value of this column. May be given several times.",
)
@click.option(
    "--spreadsheet",
    is_flag=True,
    help="Write CSV in which a spreadsheet takes no text for a formula. It isn't for loading.",
)
@click.option("--force", is_flag=True, help="Replace an earlier export of the same format.")
@json_option
def export(**options: Any) -> None:
    """Write the runs, transitions or errors of a workflow to files.

    The name of the output chooses its format: a Parquet file, a CSV file, or a folder of Parquet
    files. The export has the table as it was at one moment, even if an engine is running. An
    earlier export is replaced with --force, any other file never. An interrupted export leaves
    nothing behind. An export can be loaded again, and gives the same objects. With --spreadsheet
    it can't: text that begins like a formula gets an apostrophe, and control characters become
    symbols.

    Prints the number of rows written. Exits with 2 if the output already exists, and with 3 if it
    can't be written.
    """
    _export(ExportOptions(**options))


def _export(options: ExportOptions) -> None:

    with opened_store(options.store) as reader:
        relation = _selected_rows(reader, options)
        missing = [name for name in options.partition_by if name not in relation.columns]
        if missing:
            raise click.UsageError(
                f"--partition-by: {options.table} has no column {missing[0]!r}. Its columns are "
                f"{', '.join(relation.columns)}."
            )
        with atomic_path(options.path) as path:
            if options.form is ExportForm.CSV:
                rows = write_csv_file(path, relation, spreadsheet=options.spreadsheet)
            elif options.form is ExportForm.PARQUET:
                rows = write_parquet_file(path, relation)
            else:
                rows = write_folder(path, relation, options.partition_by)
    if options.as_json:
        write_document({"table": options.table, "rows": rows, "path": str(options.path)})
    else:
        # "runs", "transitions" and "errors" are plurals.
        noun = options.table.removesuffix("s")
        write(f"{counted(rows, noun)} written to {options.path}.\n")


def _selected_rows(reader: OpenedStore, options: ExportOptions) -> Relation:
    from batchflow.store.schema.layout import quote

    workflow = choose_workflow(reader, options.workflow)
    if options.table == "runs":
        return reader.runs(options.where, workflow=workflow)
    rows = reader.sql(f"SELECT * FROM {quote(workflow)}.{options.table}")
    return rows if options.where is None else rows.filter(options.where)
