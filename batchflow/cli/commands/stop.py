"""``batchflow stop``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.options import json_option, store_option
from batchflow.cli.output import write, write_document


@click.command(
    short_help="Have the engine at work stop in order.",
    epilog="""\b
Example:
  batchflow stop --store orders.duckdb
""",
)
@store_option
@json_option
def stop(store: Path, *, as_json: bool) -> None:
    """Have the engine that moves the store's runs stop in order.

    What is in flight is finished within its grace time, and committed; this doesn't wait for that.
    Where no engine moves runs, there is nothing to stop, and the exit code is 3.
    """
    from batchflow.access import connect
    from batchflow.errors import EngineStateError

    with connect(store) as client:
        if not client.request_stop():
            raise EngineStateError(
                f"The engine that has the store {client.path!r} open moves no runs now, so there "
                "is no drain to stop."
            )
    if as_json:
        write_document({"stopping": True})
    else:
        write("stop: the engine finishes what is in flight, and stops\n")
