"""``batchflow errors``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.across import across
from batchflow.cli.options import json_option, store_option, workflow_option
from batchflow.cli.output import write_relations


@click.command(short_help="Tell the failures by fingerprint.")
@store_option
@workflow_option
@json_option
def errors(store: Path, workflow: str | None, *, as_json: bool) -> None:
    """Tell the failures by fingerprint: how many, in which steps, since when, and one message."""
    from batchflow.remote import StoreClient, connect

    with connect(store) as reader:
        write_relations(across(reader, StoreClient.errors, workflow), as_json=as_json)
