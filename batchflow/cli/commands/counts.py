"""``batchflow status`` and ``batchflow counts``, which are the same."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.across import across
from batchflow.cli.answering import write_answer
from batchflow.cli.form import Form, form_option
from batchflow.cli.options import store_option, workflow_option


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
    @form_option
    def count(store: Path, workflow: str | None, *, form: Form) -> None:
        """Count the runs by workflow, status and run state."""
        from batchflow.remote import StoreClient, connect

        with connect(store) as reader:
            write_answer(across(reader, StoreClient.counts, workflow), form)

    return count


status = _counting("status")
counts = _counting("counts")
