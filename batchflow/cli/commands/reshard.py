"""``batchflow reshard``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.opening import is_one_file
from batchflow.cli.options import json_option, store_option
from batchflow.cli.output import write, write_document


@click.command(
    epilog="""\b
Example:
  batchflow reshard 6 --store 'night-{shard}.duckdb'
""",
)
@click.argument("number", type=click.IntRange(min=1))
@store_option
@json_option
def reshard(number: int, store: Path, *, as_json: bool) -> None:
    """Rewrite a set of shards into another number of shards.

    Runs keep their run ids, foreign ids, objects and log. No engine may have a shard open. The new
    files are made beside the old ones, which stay until all are complete, so the disk needs room
    for both. If the command is interrupted, the set has either the old files or the new ones.

    Prints the number of shards before and after. Exits with 75 if another process has a shard open.
    """
    if is_one_file(store):
        raise click.UsageError(
            f"{str(store)!r} is one store. Give the shards of a set, like night-{{shard}}.duckdb."
        )
    from batchflow.shards import Stores

    with Stores(store) as stores:
        before = stores.shards
        stores.reshard(number)
    if as_json:
        write_document({"shards_before": before, "shards": number})
    else:
        write(f"{before} shards were rewritten into {number}.\n")
