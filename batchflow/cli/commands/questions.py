"""The commands that each answer one question about how runs move."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.options import store_option, workflow_option
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.plot_option import plot_option, write_plot
from batchflow.cli.results import write_results
from batchflow.cli.workflow_choice import query_each_workflow

if TYPE_CHECKING:
    from batchflow.store import PlottableRelation


def write_or_plot(
    query: Callable[..., PlottableRelation],
    store: Path,
    workflow: str | None,
    plot: Path | None,
    form: OutputFormat,
) -> None:
    """Query each workflow, and write or plot the results."""
    if plot is not None and form != OutputFormat():
        raise click.UsageError("Give only one of --plot, --json, --csv and --parquet.")
    from batchflow.access import connect

    with connect(store) as reader:
        if plot is None:
            write_results(query_each_workflow(reader, query, workflow), form)
        else:
            write_plot(reader, query, workflow, plot)


def _question_command(name: str, help_text: str, example: str) -> click.Command:
    """Return the command that calls the client's method of this name."""

    @click.command(
        name,
        help=help_text,
        epilog=f"\b\nExample:\n  batchflow {name} --store orders.duckdb {example}\n",
    )
    @store_option
    @workflow_option
    @plot_option
    @format_option
    def command(**options: Any) -> None:
        from batchflow.access import StoreClient

        write_or_plot(getattr(StoreClient, name), **options)

    return command


counts = _question_command(
    "counts",
    """Count runs by workflow, status and run state.

    Prints one row per combination that occurs, with the number of runs.""",
    "--workflow orders --json",
)
durations = _question_command(
    "durations",
    """Show how long runs stayed at each status.

    Only completed stays count: those of runs that left the status. A stay includes retries, pauses
    and waiting, and a run that returned to a status counts each time.

    Prints one row per status with the number of stays in the column runs, and their median, 95th
    and 99th percentile and maximum in seconds. The percentiles are approximate.""",
    "--plot durations.svg",
)
transitions = _question_command(
    "transitions",
    """Count transitions by the statuses they connect and by outcome.

    Prints one row per status before, status after and outcome (advanced, failed, paused, ...), with
    the number of transitions in the column runs. "batchflow export transitions" writes each
    transition.""",
    "--csv > transitions.csv",
)
funnel = _question_command(
    "funnel",
    """Show how many runs got as far as each status.

    Prints one row per status, in the order of their definition, with the number of runs that were
    ever at it (reached), are at it now (here), and left it for another status (left).""",
    "--plot funnel.png",
)
ages = _question_command(
    "ages",
    """Show how long ago the oldest unfinished run at each status changed.

    Use it to find runs that are stuck.

    Prints one row per status with the number of unfinished runs, the last change of the oldest one,
    its age in seconds, and its run id.""",
    "--json",
)


@click.command(
    epilog="""\b
Example:
  batchflow throughput --store orders.duckdb --bucket 60 --plot tonight.svg
""",
)
@store_option
@workflow_option
@click.option(
    "--bucket",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="The length of each interval.  [default: chosen for about a hundred intervals]",
)
@plot_option
@format_option
def throughput(bucket: float | None, **options: Any) -> None:
    """Show how many runs per second left each status, over time.

    Counts the transitions of any outcome in intervals of equal length.

    Prints one row per interval and status, with the number of transitions in the column runs, and
    their rate. Intervals without transitions are left out.
    """
    from batchflow.access import StoreClient

    write_or_plot(partial(StoreClient.throughput, bucket_seconds=bucket), **options)
