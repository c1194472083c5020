"""``batchflow reshard``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.opening import is_one_file
from batchflow.cli.options import json_option, store_option
from batchflow.cli.output import write, write_document


def _require_number(context: click.Context, argument: click.Parameter, number: int) -> int:
    # Imported here, as it takes as long as DuckDB.
    from batchflow.store.schema.shard import MOST_SHARDS

    if not 1 <= number <= MOST_SHARDS:
        raise click.BadParameter(
            f"{number} is no number of shards. Give one from 1 to {MOST_SHARDS:,}.",
            context,
            argument,
        )
    return number


@click.command(
    epilog="""\b
Examples:
  batchflow reshard 6 --store 'night-{shard}.duckdb'
  batchflow reshard 4 --store orders.duckdb --into 'night-{shard}.duckdb'
""",
)
@click.argument("number", type=int, callback=_require_number)
@store_option
@click.option(
    "--into",
    metavar="PATTERN",
    help="Of one store: the path of the new files, with {shard} in place of the number.",
)
@json_option
def reshard(number: int, store: Path, into: str | None, *, as_json: bool) -> None:
    """Rewrite a set of shards, or one store, into another number of shards.

    Runs keep their run ids, foreign ids, objects and log. No engine may have a shard open. The new
    files are made beside the old ones, which stay until all are complete, so the disk needs room
    for both. If the command is interrupted, the set has either the old files or the new ones. With
    --into, the store stays as it is: remove it when you don't need it any more.

    Prints the number of shards before and after. Exits with 75 if another process has a store open.
    """
    if is_one_file(store) != (into is not None):
        raise click.UsageError(
            "Give the shards of a set, like --store 'night-{shard}.duckdb'; or one store, and "
            "--into 'night-{shard}.duckdb' for the new files."
        )
    from batchflow.shards import Stores

    if into is not None:
        before = 1
        Stores.from_store(store, into, shards=number)
    else:
        stores = Stores(store)
        before = stores.shards
        stores.reshard(number)
    if as_json:
        write_document({"shards_before": before, "shards": number})
    else:
        what = "The store was" if into is not None else f"{before} shards were"
        write(f"{what} rewritten into {number}.\n")
