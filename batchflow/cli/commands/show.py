"""``batchflow show``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from batchflow.cli.opening import asked_store
from batchflow.cli.options import json_option, store_option, traceback_option
from batchflow.cli.output import json_rows, rows_of, write, write_members
from batchflow.cli.wrapped_text import wrapped


@click.command(
    epilog="""\b
Examples:
  batchflow show order-000000123 --store orders.duckdb
  batchflow show da6e8c20-163c-8e71-bbda-000000000007 --store orders.duckdb --traceback
"""
)
@click.argument("run", metavar="RUN")
@store_option
@traceback_option
@json_option
def show(run: str, store: Path, *, tracebacks: bool, as_json: bool) -> None:
    """Show one run and its history.

    RUN is a run id, or a foreign id; of several runs with a foreign id, the latest is shown.

    Prints the columns of the run, then its transitions, the oldest first, with the error of each
    that failed. Exits with 3 if there is no such run.
    """
    with asked_store(store) as client:
        found = client.find(run)
        history = client.history(found.run_id, tracebacks=tracebacks)
        shown = client.runs(f"run_id = '{found.run_id}'", workflow=found.workflow)
        if as_json:
            (row,) = json_rows(shown)
            moves = f"[{', '.join(json_rows(history))}]"
            write_members({"workflow": json.dumps(found.workflow), "run": row, "history": moves})
            return
        (columns,) = rows_of(shown)
        width = max(map(len, columns)) + 2
        lines = (wrapped(_text(columns[name]), width, head=name.ljust(width)) for name in columns)
        write("".join(lines) + "\n")
        write("".join(line for row in rows_of(history) for line in _transition(row)))


def _transition(row: Mapping[str, Any]) -> Iterator[str]:
    moved = f"{row['from_status'] or ''} → {row['to_status']}".strip()
    attempt = f", attempt {row['attempt']}" if row["outcome"] == "failed" else ""
    yield wrapped(f"{row['committed_at']}  {moved}  {row['outcome']}{attempt}", 4, head="")
    if row["reason"]:
        yield wrapped(row["reason"], 4)
    if row["error_type"]:
        error = f"{row['error_type']}: {row['error_message']}"
        yield wrapped(f"{row['failed_step']}: {error}", 4)
    if row.get("traceback"):
        yield wrapped(row["traceback"], 4)


def _text(value: object) -> str:
    return "NULL" if value is None else str(value)
