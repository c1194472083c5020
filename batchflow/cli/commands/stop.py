"""``batchflow stop``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.opening import opened_store
from batchflow.cli.options import json_option, store_option
from batchflow.cli.output import write, write_document


@click.command(
    epilog="""\b
Example:
  batchflow stop --store orders.duckdb
""",
)
@store_option
@json_option
def stop(store: Path, *, as_json: bool) -> None:
    """Stop the running engine gracefully.

    The engine takes no more runs, gives the steps in execution ten seconds (by default) to finish,
    and commits their results. This command doesn't wait for that. Exits with 3 if no engine is
    executing steps in this store.
    """
    from batchflow.errors import EngineStateError

    with opened_store(store) as client:
        if not client.request_stop():
            raise EngineStateError(
                f"There is nothing to stop: the engine that has the store {client.path!r} open "
                "isn't executing steps."
            )
    if as_json:
        write_document({"stopping": True})
    else:
        write("The engine is stopping. It commits the steps in execution first.\n")
