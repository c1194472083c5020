"""``batchflow runs``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from batchflow.cli.opening import asked_store
from batchflow.cli.options import one_workflow_option, store_option, where_option
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.results import write_results
from batchflow.cli.time_options import as_of_option
from batchflow.cli.workflow_choice import choose_workflow


@click.command(
    epilog="""\b
Example:
  batchflow runs --store orders.duckdb --where "run_state = 'PAUSED' AND total > 100"
"""
)
@store_option
@one_workflow_option
@where_option
@click.option(
    "--limit",
    metavar="NUMBER",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="List at most this many runs.",
)
@as_of_option
@format_option
def runs(
    store: Path,
    workflow: str | None,
    where: str | None,
    limit: int,
    as_of: datetime | None,
    *,
    form: OutputFormat,
) -> None:
    """List the runs of a workflow with all their columns.

    Prints one row per run: its number and ids, its status and run state, attempts and times, and
    the fields of its object. Which runs are listed, if there are more than --limit, is not defined.
    "batchflow sql" sorts and aggregates, and "batchflow export" writes all of them. With --as-of,
    status and run state are those at that moment, and the fields have their present values.
    """
    with asked_store(store) as reader:
        chosen = choose_workflow(reader, workflow)
        write_results([reader.runs(where, workflow=chosen, as_of=as_of).limit(limit)], form)
