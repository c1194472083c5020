"""``batchflow export``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.atomic_write import atomic_path, is_parquet
from batchflow.cli.export_files import write_export
from batchflow.cli.options import json_option, store_option, workflow_option
from batchflow.cli.output import write, write_document

if TYPE_CHECKING:
    from batchflow.access import StoreClient
    from batchflow.store import Relation

_FILES = {".parquet", ".csv"}


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is written, and where to."""

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
            raise click.UsageError("Give the name of a file or a folder to write.")
        if self.partition_by and not self.is_folder:
            raise click.UsageError(
                f"--partition-by writes a folder, and {str(self.out)!r} is a file's name."
            )
        if os.path.lexists(self.out):
            self._refuse_to_replace()

    @property
    def is_folder(self) -> bool:
        """Whether a folder of Parquet files is written."""
        return self.out.suffix not in _FILES

    def _refuse_to_replace(self) -> None:
        there = f"{str(self.out)!r} is there already"
        if not self.force:
            raise click.UsageError(f"{there}; give --force to replace it, or another name.")
        if self.out.is_dir() != self.is_folder or not self._is_export:
            raise click.UsageError(
                f"{there}, and what it holds was written by no export; give another name."
            )

    @property
    def _is_export(self) -> bool:
        if self.out.suffix == ".csv":
            return self.out.is_file() and not self.out.samefile(self.store)
        return is_parquet(self.out)


@click.command(
    short_help="Write runs, transitions or errors to files.",
    epilog="""\b
Examples:
  batchflow export runs --store orders.duckdb --where "run_state = 'COMPLETED'" done.parquet
  batchflow export transitions --store orders.duckdb --partition-by to_status transitions/
""",
)
@click.argument("table", type=click.Choice(["runs", "transitions", "errors"]))
@click.argument("out", metavar="OUT.parquet|OUT.csv|FOLDER", type=click.Path(path_type=Path))
@store_option
@workflow_option
@click.option("--where", metavar="SQL", help="A predicate over the table's columns.")
@click.option(
    "--partition-by",
    metavar="COLUMN",
    multiple=True,
    help="Write a folder for each value of it; repeatable.",
)
@click.option("--force", is_flag=True, help="Replace what an earlier export wrote there.")
@json_option
def export(**options: Any) -> None:
    """Write a table of one workflow to a Parquet file, a CSV file, or a folder of Parquet files.

    It takes its name when it is whole; if it is interrupted, nothing of it stays. An engine may be
    at work meanwhile: what is written is the table as it was at one moment.
    """
    _export(ExportOptions(**options))


def _export(options: ExportOptions) -> None:
    from batchflow.access import connect

    with connect(options.store) as reader:
        relation = _chosen(reader, options)
        missing = [name for name in options.partition_by if name not in relation.columns]
        if missing:
            raise click.UsageError(
                f"There is no column {missing[0]!r} to partition by; the columns of "
                f"{options.table} are {', '.join(relation.columns)}."
            )
        with atomic_path(options.out) as path:
            rows = write_export(relation, path, options.out.suffix, options.partition_by)
    if options.as_json:
        write_document({"table": options.table, "rows": rows, "path": str(options.out)})
    else:
        write(f"export: {rows:,} {options.table} written to {options.out}\n")


def _chosen(reader: StoreClient, options: ExportOptions) -> Relation:
    from batchflow.cli.workflow_choice import choose_workflow
    from batchflow.store.schema.layout import quote

    workflow = choose_workflow(reader, options.workflow)
    if options.table == "runs":
        return reader.runs(options.where, workflow=workflow)
    rows = reader.sql(f"SELECT * FROM {quote(workflow)}.{options.table}")
    return rows if options.where is None else rows.filter(options.where)
