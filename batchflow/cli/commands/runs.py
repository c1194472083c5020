"""``batchflow runs``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.options import json_option, store_option, workflow_option
from batchflow.cli.output import write_relations


@click.command(
    epilog="""\b
Example:
  batchflow runs --store orders.duckdb --where "run_state = 'PAUSED' AND total > 100"
"""
)
@store_option
@workflow_option
@click.option("--where", metavar="SQL", help="A predicate over the runs' columns.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Most runs shown."
)
@json_option
def runs(
    store: Path, workflow: str | None, where: str | None, limit: int, *, as_json: bool
) -> None:
    """List runs with all their columns."""
    from batchflow.remote import connect

    with connect(store) as reader:
        write_relations([reader.runs(where, workflow=workflow).limit(limit)], as_json=as_json)
