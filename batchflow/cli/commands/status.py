"""``batchflow status``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.commands.questions import answer
from batchflow.cli.form import Form, form_option
from batchflow.cli.options import store_option, workflow_option
from batchflow.cli.plotting import plot_option


@click.command(
    epilog="""\b
Example:
  batchflow status --store orders.duckdb --workflow orders --json
"""
)
@store_option
@workflow_option
@plot_option
@form_option
def status(store: Path, workflow: str | None, plot: Path | None, *, form: Form) -> None:
    """Count the runs by workflow, status and run state."""
    from batchflow.remote import StoreClient

    answer(StoreClient.counts, store, workflow, plot, form)
