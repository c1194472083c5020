"""``batchflow status``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.across import across
from batchflow.cli.options import json_option, store_option, workflow_option
from batchflow.cli.output import write_relations


@click.command()
@store_option
@workflow_option
@json_option
def status(store: Path, workflow: str | None, *, as_json: bool) -> None:
    """Count the runs by workflow, status and run state."""
    from batchflow.remote import StoreClient, connect

    with connect(store) as reader:
        write_relations(across(reader, StoreClient.counts, workflow), as_json=as_json)
