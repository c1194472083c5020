"""``batchflow costs``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from batchflow.cli.opening import asked_store, question
from batchflow.cli.options import store_option, workflow_option
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.results import write_results
from batchflow.cli.time_options import since_option, until_option
from batchflow.cli.workflow_choice import query_each_workflow


@click.command(
    epilog="""\b
Example:
  batchflow costs --store orders.duckdb --since 7d
""",
)
@store_option
@workflow_option
@since_option
@until_option
@format_option
def costs(
    store: Path,
    workflow: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    form: OutputFormat,
) -> None:
    """Show what each step cost in each night.

    A night is from noon to noon in UTC, and named by the day on which it begins.

    Prints one row per night and step: the executions (runs, failed), the commits and chunks, the
    seconds in the step's code, in queues and in commits, the estimated bytes of its transitions and
    errors on disk, and the slowest runs, if they took a millisecond or longer.
    """
    with asked_store(store) as reader:
        query = question("costs", since=since, until=until)
        write_results(query_each_workflow(reader, query, workflow), form)
