"""``batchflow errors``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.options import store_option, workflow_option
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.results import write_results
from batchflow.cli.workflow_choice import query_each_workflow


@click.command(
    short_help="Tell the failures by fingerprint.",
    epilog="""\b
Example:
  batchflow errors --store orders.duckdb --csv > errors.csv
""",
)
@store_option
@workflow_option
@format_option
def errors(store: Path, workflow: str | None, *, form: OutputFormat) -> None:
    """Tell the failures by fingerprint: how many, in which steps, since when, and one message."""
    from batchflow.access import StoreClient, connect

    with connect(store) as reader:
        write_results(query_each_workflow(reader, StoreClient.errors, workflow), form)
