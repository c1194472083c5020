"""The commands that each answer one question about how runs move."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.opening import asked_store, question
from batchflow.cli.options import store_option, workflow_option
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.plot_option import plot_option, write_plot
from batchflow.cli.results import write_results
from batchflow.cli.time_options import as_of_option, moment_option, since_option, until_option
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

    with asked_store(store) as reader:
        if plot is None:
            write_results(query_each_workflow(reader, query, workflow), form)
        else:
            write_plot(reader, query, workflow, plot)


def _question_command(
    name: str, help_text: str, example: str, *moments: Callable[..., Any]
) -> click.Command:
    """Return the command that calls the client's method of this name.

    `moments` are the options with its moments.
    """

    @click.command(
        name,
        help=help_text,
        epilog=f"\b\nExample:\n  batchflow {name} --store orders.duckdb {example}\n",
    )
    @store_option
    @workflow_option
    @plot_option
    @format_option
    def command(
        store: Path, workflow: str | None, plot: Path | None, form: OutputFormat, **given: Any
    ) -> None:

        query = question(name, **given)
        write_or_plot(query, store, workflow, plot, form)

    for option in reversed(moments):
        command = option(command)
    return command


_PERIOD = (since_option, until_option)


counts = _question_command(
    "counts",
    """Count runs by workflow, status and run state.

    Prints one row per combination that occurs, with the number of runs. With --as-of, these are the
    counts at that moment, without runs that were pruned since.""",
    "--as-of 12h",
    as_of_option,
)
durations = _question_command(
    "durations",
    """Show how long runs stayed at each status.

    Only completed stays count: those of runs that left the status. A stay includes retries, pauses
    and waiting, and a run that returned to a status counts each time.

    Prints one row per status with the number of stays in the column runs, and their median, 95th
    and 99th percentile and maximum in seconds. The percentiles are approximate. With --since and
    --until, these are the stays that ended in that period.""",
    "--plot durations.svg",
    *_PERIOD,
)
transitions = _question_command(
    "transitions",
    """Count transitions by the statuses they connect and by outcome.

    Prints one row per status before, status after and outcome (advanced, failed, paused, ...), with
    the number of transitions in the column runs. "batchflow export transitions" writes each
    transition.""",
    "--since 12h --csv > transitions.csv",
    *_PERIOD,
)
funnel = _question_command(
    "funnel",
    """Show how many runs got as far as each status.

    Prints one row per status, in the order of their definition, with the number of runs that were
    ever at it (reached), are at it now (here), and left it for another status (left). With --since
    and --until, only that period counts, and "here" is at its end.""",
    "--plot funnel.png",
    *_PERIOD,
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
@since_option
@until_option
@plot_option
@format_option
def throughput(
    bucket: float | None, since: datetime | None, until: datetime | None, **options: Any
) -> None:
    """Show how many runs per second left each status, over time.

    Counts the transitions of any outcome in intervals of equal length, but for those of runs that
    were resumed, edited or retried by hand.

    Prints one row per interval and status, with the number of transitions in the column runs, and
    their rate. Intervals without transitions are left out.
    """
    query = question("throughput", bucket_seconds=bucket, since=since, until=until)
    write_or_plot(query, **options)


@click.command(
    epilog="""\b
Examples:
  batchflow diff --store orders.duckdb --since 24h
  batchflow diff --store orders.duckdb --since 2030-01-31T22:00 --until 2030-02-01T06:00 --json
""",
)
@store_option
@workflow_option
@moment_option("--since", "The first moment: an age like 12h, or a date and time.  [required]")
@moment_option("--until", "The second moment, likewise.  [default: now]")
@format_option
def diff(
    store: Path,
    workflow: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    form: OutputFormat,
) -> None:
    """Show how many runs moved between two moments, from where and to where.

    Runs that are where they were are left out, and so are runs that were pruned since.

    Prints one row per pair of a status and run state at the first moment and at the second one,
    with the number of runs, and the ids of up to three. Runs that started in between come from
    nowhere.
    """
    if since is None:
        raise click.UsageError("Give the first moment with --since, like --since 24h.")

    with asked_store(store) as reader:
        query = question("diff", since=since, until=until)
        write_results(query_each_workflow(reader, query, workflow), form)
