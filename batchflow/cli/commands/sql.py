"""``batchflow sql``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.options import json_option, store_option
from batchflow.cli.output import write_relations


@click.command(
    epilog="""\b
Example:
  batchflow sql --store orders.duckdb \\
    "SELECT status, count(*), avg(total) FROM orders.runs GROUP BY ALL"
"""
)
@click.argument("query")
@store_option
@json_option
def sql(query: str, store: Path, *, as_json: bool) -> None:
    """Ask the store in SQL, read-only.

    Each workflow is a schema with the tables runs, transitions and errors.
    """
    from batchflow.remote import connect

    with connect(store) as reader:
        write_relations([reader.sql(query)], as_json=as_json)
