"""``batchflow explain``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from batchflow.cli.commands.questions import write_or_plot
from batchflow.cli.opening import asked_store, question
from batchflow.cli.options import one_workflow_option, store_option
from batchflow.cli.output import write
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.plot_option import plot_option
from batchflow.cli.results import write_results
from batchflow.cli.time_options import moment_option
from batchflow.cli.workflow_choice import choose_workflow


@click.command(
    epilog="""\b
Examples:
  batchflow explain --store orders.duckdb --where "run_state = 'PAUSED'"
  batchflow explain --store orders.duckdb --where "status = 'REJECTED'" --since 1d --json
"""
)
@store_option
@one_workflow_option
@click.option(
    "--where",
    metavar="SQL",
    required=True,
    help="The runs to explain: an SQL predicate over the columns of runs.",
)
@moment_option("--since", "Compare only runs that changed since then.")
@moment_option("--until", "Compare only runs that changed before then.")
@plot_option
@format_option
def explain(
    store: Path,
    workflow: str | None,
    where: str,
    since: datetime | None,
    until: datetime | None,
    *,
    plot: Path | None,
    form: OutputFormat,
) -> None:
    """Show what the runs that a predicate chooses share, and the rest doesn't.

    Compares the chosen runs with all others by the fields of their objects, by the file that they
    were loaded from, and by where, when and at which attempt they were executed.

    Prints one row per slice, the best one first: an SQL predicate (slice), how many of the chosen
    runs and of the rest are in it, the shares of both, how much more often a run in the slice is
    chosen than one outside (risk_ratio), and the part of the chosen runs that it explains. Slices
    that a random choice of runs could have, or that other rows imply, are left out.
    """
    query = question("explain", where=where, since=since, until=until)
    if plot is not None:
        write_or_plot(query, store, workflow, plot, form)
        return
    with asked_store(store) as reader:
        found = query(reader, workflow=choose_workflow(reader, workflow))
        if form == OutputFormat() and not len(found):
            write("Nothing separates these runs from the rest.\n")
            return
        write_results([found], form)
