"""``batchflow prune``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchflow.cli.opening import opened_store
from batchflow.cli.options import json_option, store_option, where_option, workflow_option
from batchflow.cli.output import write, write_document
from batchflow.cli.time_options import AgeType
from batchflow.cli.workflow_choice import choose_workflow

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from batchflow.operation import PruneReport


@click.command(
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
    help="How long ago the runs finished at least, like 90m, 12h, 30d or 2w, or a date.",
)
@workflow_option
@where_option
@click.option("--forget", is_flag=True, help="Keep no hashes of the foreign ids for --once.")
@click.option("--dry-run", is_flag=True, help="Count the runs, and remove nothing.")
@json_option
def prune(
    store: Path,
    finished_before: timedelta | datetime,
    workflow: str | None,
    where: str | None,
    *,
    forget: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove runs that finished long ago, with their transitions and errors.

    Only completed and cancelled runs are removed, those of one workflow in one transaction. This
    can't be undone: export the runs first, if you need them. The file reuses their space. A hash of
    16 bytes stays of each foreign id, for loads with --once. If an engine is running, it prunes its
    own workflows, and its commits wait meanwhile. With --where, --workflow is required if the store
    has several workflows. Without it, rejected rows of loads that are as old are removed, too.

    Prints how many runs, transitions and errors were removed, and the size of the store.
    """
    with opened_store(store) as client:
        if where is not None:
            workflow = choose_workflow(client, workflow)
        pruned = client.prune(
            finished_before, where, workflow=workflow, forget=forget, dry_run=dry_run
        )
    if as_json:
        write_document({"dry_run": dry_run, **asdict(pruned)})
    else:
        write(_summary(pruned, dry_run=dry_run))


def _summary(pruned: PruneReport, *, dry_run: bool) -> str:
    before, after = _megabytes(pruned.bytes_before), _megabytes(pruned.bytes_after)
    if dry_run:
        return f"{pruned} would be removed. The store takes {before}.\n"
    return f"{pruned} removed. The store took {before} and takes {after} now.\n"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
