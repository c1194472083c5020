"""``batchflow errors``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.across import across
from batchflow.cli.answering import write_answer
from batchflow.cli.form import Form, form_option
from batchflow.cli.options import store_option, workflow_option


@click.command(
    short_help="Tell the failures by fingerprint.",
    epilog="""\b
Example:
  batchflow errors --store orders.duckdb --csv > errors.csv
""",
)
@store_option
@workflow_option
@form_option
def errors(store: Path, workflow: str | None, *, form: Form) -> None:
    """Tell the failures by fingerprint: how many, in which steps, since when, and one message."""
    from batchflow.access import StoreClient, connect

    with connect(store) as reader:
        write_answer(across(reader, StoreClient.errors, workflow), form)
