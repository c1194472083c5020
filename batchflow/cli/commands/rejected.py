"""``batchflow rejected``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.opening import asked_store, question
from batchflow.cli.options import store_option, workflow_option
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.results import write_results
from batchflow.cli.workflow_choice import query_each_workflow


@click.command(
    epilog="""\b
Example:
  batchflow rejected --store orders.duckdb --csv > rejected.csv
""",
)
@store_option
@workflow_option
@format_option
def rejected(store: Path, workflow: str | None, *, form: OutputFormat) -> None:
    """List the rows that loads left out.

    A row is rejected if it doesn't fit the fields (invalid), if an earlier row has its foreign id
    (duplicate), or because of the run that has its foreign id (unfinished, running, finished). The
    first 10,000 rows of each file are kept, until "batchflow prune" removes them.

    Prints one row per rejected row, the latest load first, with its source, its number in the
    source, its foreign id, the reason, and the row as JSON (record).
    """
    with asked_store(store) as reader:
        write_results(query_each_workflow(reader, question("rejected"), workflow), form)
