"""``batchflow prune``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchflow.cli.options import json_option, store_option
from batchflow.cli.output import write, write_document
from batchflow.cli.time_options import AgeType
from batchflow.short_form import counted

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from batchflow.operation import PruneReport


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
    from batchflow.access import connect

    with connect(store) as client:
        pruned = client.prune(finished_before, where, workflow=workflow, dry_run=dry_run)
    if as_json:
        write_document({"dry_run": dry_run, **asdict(pruned)})
    else:
        write(_sentence(pruned, dry_run=dry_run))


def _sentence(pruned: PruneReport, *, dry_run: bool) -> str:
    removed = "would be removed" if dry_run else "removed"
    counts = (
        f"prune: {counted(pruned.runs, 'run')}, {counted(pruned.transitions, 'transition')} and "
        f"{counted(pruned.errors, 'error')} {removed}"
    )
    if dry_run:
        return f"{counts}; the store takes {_mb(pruned.bytes_before)}\n"
    return f"{counts}; the store took {_mb(pruned.bytes_before)}, now {_mb(pruned.bytes_after)}\n"


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
