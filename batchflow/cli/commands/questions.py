"""The commands that ask one question of each workflow, named like the Python methods."""

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


def answer(
    ask: Callable[..., PlottableRelation],
    store: Path,
    workflow: str | None,
    plot: Path | None,
    form: OutputFormat,
) -> None:
    """Ask, and write or draw what is answered."""
    if plot is not None and form != OutputFormat():
        raise click.UsageError("Give --plot or one of --json, --csv and --parquet.")
    from batchflow.access import connect

    with connect(store) as reader:
        if plot is None:
            write_results(query_each_workflow(reader, ask, workflow), form)
        else:
            write_plot(reader, ask, workflow, plot)


def _question(name: str, told: str, example: str) -> click.Command:
    @click.command(
        name,
        help=told,
        short_help=f"{told.partition('.')[0]}.",
        epilog=f"\b\nExample:\n  batchflow {name} --store orders.duckdb {example}\n",
    )
    @store_option
    @workflow_option
    @plot_option
    @format_option
    def ask(store: Path, workflow: str | None, plot: Path | None, *, form: OutputFormat) -> None:
        from batchflow.access import StoreClient

        answer(getattr(StoreClient, name), store, workflow, plot, form)

    return ask


counts = _question(
    "counts", "Count the runs by workflow, status and run state.", "--workflow orders --json"
)
durations = _question(
    "durations",
    "Tell how long runs stayed at each status. Median, 95th and 99th percentile and the longest, "
    "in seconds, of those that left it.",
    "--plot durations.svg",
)
transitions = _question(
    "transitions",
    "Count how often runs went from where to where. By outcome; export transitions writes each.",
    "--csv > transitions.csv",
)
funnel = _question(
    "funnel",
    "Tell how far runs got. For each status how many were ever there, are there, and left it.",
    "--plot funnel.png",
)
ages = _question(
    "ages",
    "Tell how long nothing happened to the oldest unfinished run. At each status, in seconds.",
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
    help="Over how long each rate is taken.  [default: fitting]",
)
@plot_option
@format_option
def throughput(bucket: float | None, **options: Any) -> None:
    """Tell how many runs a second left each status, over time."""
    from batchflow.access import StoreClient

    answer(partial(StoreClient.throughput, bucket_seconds=bucket), **options)
