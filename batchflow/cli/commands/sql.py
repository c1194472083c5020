"""``batchflow sql``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.opening import asked_store, is_one_file
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
@click.option(
    "--then",
    metavar="SQL",
    help="Of several shards: the query over the rows of all of them, in the table shards.",
)
@format_option
def sql(query: str, store: Path, then: str | None, *, form: OutputFormat) -> None:
    """Query the store in SQL.

    QUERY is one SELECT in the SQL of DuckDB. It can't change anything, and can't read files. Each
    workflow is a schema with the tables runs, transitions and errors.

    If the store is several shards, each executes QUERY, and --then reads the rows of all of them;
    without --then, all of these rows are printed.

    Prints the rows. Exits with 3 if the query is invalid or fails.
    """
    if then is None:
        with asked_store(store) as reader:
            write_results([reader.sql(query)], form)
        return
    if is_one_file(store):
        raise click.UsageError("--then is for several shards. Put both into one query.")
    from batchflow.shards import Stores

    with Stores(store) as stores:
        write_results([stores.sql(each=query, then=then)], form)
