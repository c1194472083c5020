"""``batchflow export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.opening import opened_store
from batchflow.cli.option_names import with_command_line_names
from batchflow.cli.options import json_option, one_workflow_option, store_option
from batchflow.cli.output import write, write_document
from batchflow.cli.workflow_choice import choose_workflow

if TYPE_CHECKING:
    from batchflow.operation import ExportReport


@click.command(
    epilog="""\b
Examples:
  batchflow export runs --store orders.duckdb --where "run_state = 'COMPLETED'" done.parquet
  batchflow export transitions --store orders.duckdb --partition-by to_status transitions/
  batchflow export runs --store orders.duckdb --since nightly s3://bucket/orders/
""",
)
@click.argument("table", type=click.Choice(["runs", "transitions", "errors"]))
@click.argument("out", metavar="OUT.parquet|OUT.csv|OUT.jsonl|FOLDER|URL")
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
    "--format",
    type=click.Choice(["parquet", "csv", "json"]),
    help="The format of the files in a folder.  [default: parquet]",
)
@click.option(
    "--spreadsheet",
    is_flag=True,
    help="Write CSV in which a spreadsheet takes no text for a formula. It isn't for loading.",
)
@click.option(
    "--since",
    metavar="NAME",
    help="Only the finished runs that the hand-over of this name hasn't written yet, as a new "
    "folder in OUT.",
)
@click.option(
    "--into",
    "table_of_database",
    metavar="TABLE",
    help="The table of a database that OUT is the URL of; it gets the finished runs, each once.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace an earlier export of the same format. With --since, write an interrupted part "
    "to OUT although it was begun for another one.",
)
@json_option
def export(store: Path, *, as_json: bool, **options: Any) -> None:
    """Write the runs, transitions or errors of a workflow to files.

    The name of the output chooses its format: a Parquet, CSV or JSON file, or a folder of files.
    It is a path; a URL such as s3://bucket/folder/, for which this process has the credentials in
    its environment; or the URL postgresql://… of a database, with --into. The export has the table
    as it was at one moment, even if an engine is running. An earlier export is replaced with
    --force, any other file never. An interrupted export leaves nothing behind. An export can be
    loaded again, and gives the same objects. With --spreadsheet it can't: text that begins like a
    formula gets an apostrophe, and control characters become symbols.

    With --since, each call hands over the runs that have finished since the last one. Repeat it
    after an interruption: no run is left out, and none is written twice.

    Prints the number of rows written. Exits with 2 if the output already exists, and with 3 if it
    can't be written.
    """
    from batchflow.errors import InvalidOptionError

    client = opened_store(store)
    options["workflow"] = choose_workflow(client, options["workflow"])
    try:
        report = client.export(
            options.pop("out"),
            options.pop("table"),
            replace=options.pop("force"),
            table=options.pop("table_of_database"),
            **options,
        )
    except InvalidOptionError as error:
        raise click.UsageError(with_command_line_names(str(error))) from None
    if as_json:
        write_document(_document(report))
    else:
        write(f"{report}\n")


def _document(report: ExportReport) -> dict[str, Any]:
    document = {"table": report.table, "rows": report.rows, "path": report.to}
    if report.first is None:
        return document
    return {**document, "files": report.files, "first": report.first, "last": report.last}
