"""``batchflow status`` and ``batchflow counts``, which are the same."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.across import across
from batchflow.cli.options import json_option, store_option, workflow_option
from batchflow.cli.output import write_relations


def _counting(name: str) -> click.Command:
    @click.command(
        name,
        epilog=f"""\b
Example:
  batchflow {name} --store orders.duckdb --workflow orders --json
""",
    )
    @store_option
    @workflow_option
    @json_option
    def count(store: Path, workflow: str | None, *, as_json: bool) -> None:
        """Count the runs by workflow, status and run state."""
        from batchflow.remote import StoreClient, connect

        with connect(store) as reader:
            write_relations(across(reader, StoreClient.counts, workflow), as_json=as_json)

    return count


status = _counting("status")
counts = _counting("counts")
