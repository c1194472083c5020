"""``batchflow status``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.commands.questions import answer
from batchflow.cli.options import store_option, workflow_option
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.plot_option import plot_option


@click.command(
    epilog="""\b
Example:
  batchflow status --store orders.duckdb --watch
"""
)
@store_option
@workflow_option
@click.option(
    "--watch",
    "every_seconds",
    metavar="[SECONDS]",
    is_flag=False,
    flag_value=2.0,
    type=click.FloatRange(min=0.1),
    help="Refresh it in place, with rates and forecasts, until Ctrl-C.  [every 2 seconds]",
)
@plot_option
@format_option
def status(
    store: Path,
    workflow: str | None,
    every_seconds: float | None,
    plot: Path | None,
    *,
    form: OutputFormat,
) -> None:
    """Count the runs by workflow, status and run state."""
    if every_seconds is not None:
        if plot is not None or form != OutputFormat():
            raise click.UsageError("--watch shows a table; leave out the other forms.")
        from batchflow.cli.status_watch import watch

        watch(store, workflow, every_seconds)
        return
    from batchflow.access import StoreClient

    answer(StoreClient.counts, store, workflow, plot, form)
