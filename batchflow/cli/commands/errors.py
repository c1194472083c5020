"""``batchflow errors``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.options import store_option, workflow_option
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.results import write_results
from batchflow.cli.workflow_choice import query_each_workflow


@click.command(
    epilog="""\b
Example:
  batchflow errors --store orders.duckdb --csv > errors.csv
""",
)
@store_option
@workflow_option
@format_option
def errors(store: Path, workflow: str | None, *, form: OutputFormat) -> None:
    """List failures of steps, grouped by fingerprint.

    Failures with the same fingerprint have the same cause: the same exception, raised at the same
    place. All failures since the beginning are counted, also those of runs that succeeded later.

    Prints one row per fingerprint, the most frequent first, with the number of failures (count) and
    of runs, the first and the last time, the steps, and the latest message.
    """
    from batchflow.access import StoreClient, connect

    with connect(store) as reader:
        write_results(query_each_workflow(reader, StoreClient.errors, workflow), form)
