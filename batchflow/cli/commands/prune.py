"""``batchflow prune``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.options import json_option, store_option
from batchflow.cli.output import write, write_document
from batchflow.cli.time_options import AgeType

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from batchflow.store import Pruned


@click.command(
    short_help="Remove runs that finished long ago.",
    epilog="""\b
Example:
  batchflow prune --store orders.duckdb --finished-before 30d --dry-run
""",
)
@store_option
@click.option(
    "--finished-before",
    required=True,
    type=AgeType(),
    help="How long ago, like 90m, 12h, 30d or 2w, or a date.",
)
@click.option("--workflow", metavar="NAME", help="Of which workflow.  [default: of all]")
@click.option(
    "--where",
    metavar="SQL",
    help="Of these, those that a predicate over the columns of one workflow chooses.",
)
@click.option("--dry-run", is_flag=True, help="Count them, and remove nothing.")
@json_option
def prune(
    store: Path,
    finished_before: timedelta | datetime,
    workflow: str | None,
    where: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove runs that were completed or cancelled long ago, with their transitions and errors.

    Each workflow's are removed at once: all of them, or none. The file uses their space again. No
    workflow's definition is needed. Where an engine has the store, it removes those of its own
    workflows, and its commits wait meanwhile.
    """
    pruned = _pruned(store, finished_before, where, workflow=workflow, dry_run=dry_run)
    if as_json:
        write_document({"dry_run": dry_run, **asdict(pruned)})
    else:
        write(_told(pruned, dry_run=dry_run))


def _pruned(store: Path, finished_before: timedelta | datetime, *what: Any, **how: Any) -> Pruned:
    from batchflow.access import connect

    with connect(store) as reader:
        if reader.served:
            return reader.prune(finished_before, *what, **how)
    from batchflow.engine.pruning import prune_store

    return prune_store(store, finished_before, *what, **how)


def _told(pruned: Pruned, *, dry_run: bool) -> str:
    would = "would be removed" if dry_run else "removed"
    told = (
        f"prune: {pruned.runs:,} runs, {pruned.transitions:,} transitions and {pruned.errors:,} "
        f"errors {would}"
    )
    if dry_run:
        return f"{told}; the store takes {_mb(pruned.bytes_before)}\n"
    return f"{told}; the store took {_mb(pruned.bytes_before)}, now {_mb(pruned.bytes_after)}\n"


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
