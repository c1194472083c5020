"""``batchflow export``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.atomic_write import atomic_path, is_parquet
from batchflow.cli.export_files import write_export
from batchflow.cli.options import json_option, one_workflow_option, store_option
from batchflow.cli.output import write, write_document
from batchflow.cli.workflow_choice import choose_workflow
from batchflow.short_form import counted

if TYPE_CHECKING:
    from batchflow.access import StoreClient
    from batchflow.store import Relation

_FILES = {".parquet", ".csv"}


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The table to write, and the file or folder to write to."""

    table: str
    out: Path
    store: Path
    workflow: str | None
    where: str | None
    partition_by: tuple[str, ...]
    force: bool
    as_json: bool

    def __post_init__(self) -> None:
        if not self.out.name:
            raise click.UsageError("Give the name of a file or folder to write to.")
        if self.partition_by and not self.is_folder:
            raise click.UsageError(
                f"--partition-by writes a folder, but {str(self.out)!r} is the name of a file."
            )
        if os.path.lexists(self.out):
            self._refuse_to_replace()

    @property
    def is_folder(self) -> bool:
        """Whether a folder of Parquet files is written."""
        return self.out.suffix not in _FILES

    def _refuse_to_replace(self) -> None:
        exists = f"{str(self.out)!r} already exists"
        if not self.force:
            raise click.UsageError(f"{exists}. Give --force to replace it, or another name.")
        if self.out.is_dir() != self.is_folder or not self._is_export:
            raise click.UsageError(f"{exists}, and isn't an earlier export. Give another name.")

    @property
    def _is_export(self) -> bool:
        if self.out.suffix == ".csv":
            return self.out.is_file() and not self.out.samefile(self.store)
        return is_parquet(self.out)


@click.command(
    epilog="""\b
Examples:
  batchflow export runs --store orders.duckdb --where "run_state = 'COMPLETED'" done.parquet
  batchflow export transitions --store orders.duckdb --partition-by to_status transitions/
""",
)
@click.argument("table", type=click.Choice(["runs", "transitions", "errors"]))
@click.argument("out", metavar="OUT.parquet|OUT.csv|FOLDER", type=click.Path(path_type=Path))
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
    "--force", is_flag=True, help="Replace an existing file or folder of the same format."
)
@json_option
def export(**options: Any) -> None:
    """Write the runs, transitions or errors of a workflow to files.

    The name of the output chooses its format: a Parquet file, a CSV file, or a folder of Parquet
    files. The export has the table as it was at one moment, even if an engine is running. An
    existing file is replaced only with --force, and only by one of the same format. Any other
    suffix than .parquet and .csv makes a folder. An interrupted export leaves nothing behind.

    Prints the number of rows written. Exits with 2 if the output already exists, and with 3 if it
    can't be written.
    """
    _export(ExportOptions(**options))


def _export(options: ExportOptions) -> None:
    from batchflow.access import connect

    with connect(options.store) as reader:
        relation = _selected_rows(reader, options)
        missing = [name for name in options.partition_by if name not in relation.columns]
        if missing:
            raise click.UsageError(
                f"--partition-by: {options.table} has no column {missing[0]!r}. Its columns are "
                f"{', '.join(relation.columns)}."
            )
        with atomic_path(options.out) as path:
            rows = write_export(relation, path, options.out.suffix, options.partition_by)
    if options.as_json:
        write_document({"table": options.table, "rows": rows, "path": str(options.out)})
    else:
        # "runs", "transitions" and "errors" are plurals.
        noun = options.table.removesuffix("s")
        write(f"{counted(rows, noun)} written to {options.out}.\n")


def _selected_rows(reader: StoreClient, options: ExportOptions) -> Relation:
    from batchflow.store.schema.layout import quote

    workflow = choose_workflow(reader, options.workflow)
    if options.table == "runs":
        return reader.runs(options.where, workflow=workflow)
    rows = reader.sql(f"SELECT * FROM {quote(workflow)}.{options.table}")
    return rows if options.where is None else rows.filter(options.where)
