"""``batchflow sql``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.options import store_option
from batchflow.cli.output_format import OutputFormat, format_option
from batchflow.cli.results import write_results


@click.command(
    epilog="""\b
Example:
  batchflow sql --store orders.duckdb \\
    "SELECT status, count(*), avg(total) FROM orders.runs GROUP BY ALL"
"""
)
@click.argument("query")
@store_option
@format_option
def sql(query: str, store: Path, *, form: OutputFormat) -> None:
    """Query the store in SQL.

    QUERY is one SELECT in the SQL of DuckDB. It can't change anything, and can't read files. Each
    workflow is a schema with the tables runs, transitions and errors.

    Prints the rows. Exits with 3 if the query is invalid or fails.
    """
    from batchflow.access import connect

    with connect(store) as reader:
        write_results([reader.sql(query)], form)
