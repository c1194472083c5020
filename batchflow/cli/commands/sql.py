"""``batchflow sql``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.answering import write_answer
from batchflow.cli.form import Form, form_option
from batchflow.cli.options import store_option


@click.command(
    epilog="""\b
Example:
  batchflow sql --store orders.duckdb \\
    "SELECT status, count(*), avg(total) FROM orders.runs GROUP BY ALL"
"""
)
@click.argument("query")
@store_option
@form_option
def sql(query: str, store: Path, *, form: Form) -> None:
    """Ask the store in SQL, read-only.

    Each workflow is a schema with the tables runs, transitions and errors.
    """
    from batchflow.access import connect

    with connect(store) as reader:
        write_answer([reader.sql(query)], form)
