"""``batchflow show``."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import click

from batchflow.cli.options import json_option, store_option
from batchflow.cli.output import rows_of, write, write_document, write_relations


@click.command(
    epilog="""\b
Example:
  batchflow show da6e8c20-163c-8e71-bbda-000000000007 --store orders.duckdb
"""
)
@click.argument("run_id", type=click.UUID)
@store_option
@json_option
def show(run_id: UUID, store: Path, *, as_json: bool) -> None:
    """Show one run: its columns, and its transitions in their order."""
    from batchflow.access import connect

    with connect(store) as reader:
        history = reader.history(run_id)
        workflow = reader.workflow_of(run_id)
        (run,) = rows_of(reader.runs(f"run_id = '{run_id}'", workflow=workflow))
        if as_json:
            write_document({"workflow": workflow, "run": run, "history": list(rows_of(history))})
            return
        width = max(map(len, run))
        write("".join(f"{name:{width}}  {_text(value)}\n" for name, value in run.items()) + "\n")
        write_relations([history], as_json=False)


def _text(value: object) -> str:
    return "NULL" if value is None else str(value)
