"""``batchflow runs``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.options import store_option, workflow_option
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.results import write_results


@click.command(
    epilog="""\b
Example:
  batchflow runs --store orders.duckdb --where "run_state = 'PAUSED' AND total > 100"
"""
)
@store_option
@workflow_option
@click.option("--where", metavar="SQL", help="A predicate over the runs' columns.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Most runs shown."
)
@format_option
def runs(
    store: Path, workflow: str | None, where: str | None, limit: int, *, form: OutputFormat
) -> None:
    """List runs with all their columns."""
    from batchflow.access import connect

    with connect(store) as reader:
        write_results([reader.runs(where, workflow=workflow).limit(limit)], form)
