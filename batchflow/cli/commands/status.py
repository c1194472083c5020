"""``batchflow status``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.commands.questions import write_or_plot
from batchflow.cli.opening import question
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
    help="Refresh a table on the terminal until Ctrl-C.  [default: every 2 seconds]",
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
    """Show how many runs are at each status, once or continuously.

    Prints one row per workflow, status and run state that occurs, like "batchflow counts". With
    --watch, shows a table per workflow and refreshes it. While an engine executes steps, the table
    also has the remaining runs of each step, its rate and its estimated finish time.
    """
    if every_seconds is not None:
        if plot is not None or form != OutputFormat():
            raise click.UsageError(
                "--watch shows a table. Leave out --json, --csv, --parquet and --plot."
            )
        from batchflow.cli.status_watch import watch

        watch(store, workflow, every_seconds)
        return
    write_or_plot(question("counts"), store, workflow, plot, form)
