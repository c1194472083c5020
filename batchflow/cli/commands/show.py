"""``batchflow show``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.options import json_option, store_option
from batchflow.cli.output import rows_of, write, write_document, write_relations


@click.command(
    epilog="""\b
Examples:
  batchflow show order-000000123 --store orders.duckdb
  batchflow show da6e8c20-163c-8e71-bbda-000000000007 --store orders.duckdb
"""
)
@click.argument("run", metavar="RUN")
@store_option
@json_option
def show(run: str, store: Path, *, as_json: bool) -> None:
    """Show one run and its history.

    RUN is a run id, or a foreign id; of several runs with a foreign id, the latest is shown.

    Prints the columns of the run, then its transitions, the oldest first, with the error of each
    that failed. Exits with 3 if there is no such run.
    """
    from batchflow.access import connect

    with connect(store) as client:
        found = client.find(run)
        history = client.history(found.run_id)
        (columns,) = rows_of(client.runs(f"run_id = '{found.run_id}'", workflow=found.workflow))
        if as_json:
            document = {"workflow": found.workflow, "run": columns}
            write_document({**document, "history": list(rows_of(history))})
            return
        width = max(map(len, columns))
        lines = (f"{name:{width}}  {_text(value)}\n" for name, value in columns.items())
        write("".join(lines) + "\n")
        write_relations([history], as_json=False)


def _text(value: object) -> str:
    return "NULL" if value is None else str(value)
