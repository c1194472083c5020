"""``batchflow errors``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from batchflow.cli.options import store_option, traceback_option, workflow_option
from batchflow.cli.output import rows_of, write
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.results import write_results
from batchflow.cli.workflow_choice import query_each_workflow
from batchflow.cli.wrapped_text import wrapped
from batchflow.short_form import counted


@click.command(
    epilog="""\b
Examples:
  batchflow errors --store orders.duckdb --traceback
  batchflow errors --store orders.duckdb --csv > errors.csv
""",
)
@store_option
@workflow_option
@traceback_option
@format_option
def errors(store: Path, workflow: str | None, *, tracebacks: bool, form: OutputFormat) -> None:
    """List failures of steps, grouped by fingerprint.

    Failures with the same fingerprint have the same cause: the same exception, raised at the same
    place. All failures since the beginning are counted, also those of runs that succeeded later.

    Prints each fingerprint, the most frequent first: the steps, the exception, the number of
    failures (count) and of runs, the first and the last time, and the latest message.
    """
    from batchflow.access import StoreClient, connect

    with connect(store) as reader:
        query = partial(StoreClient.errors, tracebacks=tracebacks)
        found = query_each_workflow(reader, query, workflow)
        if form != OutputFormat():
            write_results(found, form)
            return
        listed = "\n".join("".join(_lines(row)) for each in found for row in rows_of(each))
        write(listed or "No failures are stored.\n")


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    steps = ", ".join(f"{row['workflow']}.{step}" for step in row["steps"])
    failures = f"{counted(row['count'], 'failure')} of {counted(row['runs'], 'run')}"
    yield wrapped(f"{steps}: {row['type']}, {failures}", 2, head="")
    yield wrapped(f"fingerprint {row['fingerprint']}", 2)
    yield wrapped(f"first {row['first_seen']}\nlast  {row['last_seen']}", 2)
    yield wrapped(row["message"], 4)
    if row.get("traceback"):
        yield wrapped(row["traceback"], 4)
