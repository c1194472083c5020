"""``batchflow errors``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.opening import asked_store
from batchflow.cli.options import store_option, traceback_option, where_option, workflow_option
from batchflow.cli.output import rows_of, write
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.results import write_results
from batchflow.cli.time_options import since_option, until_option
from batchflow.cli.workflow_choice import query_each_workflow
from batchflow.cli.wrapped_text import wrapped
from batchflow.short_form import counted

if TYPE_CHECKING:
    from batchflow.cli.opening import OpenedStore
    from batchflow.store import Relation


@click.command(
    epilog="""\b
Examples:
  batchflow errors --store orders.duckdb --since 12h
  batchflow errors --store orders.duckdb --by country --csv > errors.csv
  batchflow errors 5f0c2a9be1d4 --store orders.duckdb --runs --json
""",
)
@click.argument("cause", required=False)
@store_option
@workflow_option
@where_option
@since_option
@until_option
@click.option(
    "--by", metavar="COLUMN", multiple=True, help="Group by this column of runs or failures, too."
)
@click.option("--runs", "show_runs", is_flag=True, help="List the runs that failed so instead.")
@click.option("--affected", is_flag=True, help="With --runs: only runs that still stand there.")
@click.option(
    "--all", "show_all", is_flag=True, help="List each failure instead, the latest first."
)
@traceback_option
@format_option
def errors(
    store: Path,
    workflow: str | None,
    cause: str | None,
    *,
    show_runs: bool,
    affected: bool,
    show_all: bool,
    form: OutputFormat,
    **options: Any,
) -> None:
    """List failures of steps by cause.

    Failures have the same cause if they have the same type, place in your code and message, but
    for values such as ids, numbers, paths and times. All failures since the beginning are counted,
    also those of runs that succeeded later. With CAUSE, only the failures of this cause.

    Prints each cause, the most frequent first: the steps, the cause, the number of failures (count)
    and of runs, how many runs still stand there (affected), the first and the last time, and the
    latest message.
    """
    if show_runs and show_all:
        raise click.UsageError("Give only one of --runs and --all.")
    if affected and not show_runs:
        raise click.UsageError("--affected needs --runs.")
    with asked_store(store) as reader:
        query = _query(cause, options, show_runs=show_runs, affected=affected, show_all=show_all)
        found = query_each_workflow(reader, query, workflow)
        if form != OutputFormat() or show_runs or show_all:
            write_results(found, form)
            return
        listed = "\n".join("".join(_lines(row)) for each in found for row in rows_of(each))
        chosen = any(options[name] is not None for name in ("where", "since", "until"))
        among = " of these runs in this period" if chosen else ""
        write(listed or f"No failures{among} are stored.\n")


def _query(
    cause: str | None,
    options: Mapping[str, Any],
    *,
    show_runs: bool,
    affected: bool,
    show_all: bool,
) -> Callable[..., Relation]:
    def query(store: OpenedStore, workflow: str) -> Relation:
        found = store.errors(cause, workflow=workflow, **options)
        if show_runs:
            return found.runs(affected=affected)
        return found.all() if show_all else found

    return query


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    steps = ", ".join(f"{row['workflow']}.{step}" for step in row["steps"])
    names = list(row)
    groups = [f"{name} = {row[name]}" for name in names[1 : names.index("cause")]]
    failures = f"{counted(row['count'], 'failure')} of {counted(row['runs'], 'run')}"
    affected = f"{row['affected']:,} still there ({row['share']:.1%} of the failed runs)"
    yield wrapped(f"{', '.join([steps, *groups])}: {failures}, {affected}", 2, head="")
    yield wrapped(row["description"], 2)
    yield wrapped(f"cause {row['cause']}", 2)
    yield wrapped(f"first {row['first_seen']}\nlast  {row['last_seen']}", 2)
    yield wrapped(row["message"], 4)
    if row.get("traceback"):
        yield wrapped(row["traceback"], 4)
