"""``batchflow load``."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.load_options import (
    LoadOptions,
    load_options,
    require_source,
    warn_of_rows,
)
from batchflow.cli.opening import is_one_file
from batchflow.cli.options import json_option, loaded_store_option
from batchflow.cli.output import write, write_document
from batchflow.cli.target import TargetType, load_workflows
from batchflow.errors import StoreHeldError

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow
    from batchflow.operation import LoadReport


@click.command(
    epilog="""\b
Examples:
  batchflow load 'orders-*.parquet' orders --store orders.duckdb --foreign-id order_id
  batchflow load monday.csv tuesday.csv pipeline.py:orders --store orders.duckdb
""",
)
@click.argument("sources", metavar="FILES|URLS|SQL...", nargs=-1)
@click.argument("workflow", metavar="WORKFLOW|MODULE_OR_FILE:WORKFLOW")
@loaded_store_option
@load_options
@json_option
def load(
    sources: tuple[str, ...], workflow: str, store: Path, *, as_json: bool, **options: Any
) -> None:
    """Load files into a workflow, and execute no steps.

    Each row of the source becomes a run, all of them in one transaction. If an engine is running,
    it loads the files and executes the runs; otherwise the next "batchflow run" does. An unchanged
    file is loaded once. A changed file is a new one, and all of its rows are loaded again: give
    --once to skip records that were ever loaded, or --on-conflict update to correct unfinished
    runs.

    WORKFLOW is the name of a workflow of the store. FILE.py:NAME or MODULE:NAME also creates the
    store, and computes defaults that only your code can. The source is files, globs, URLs, or one
    SQL query.

    Prints the number of runs, and the files and rows that were skipped or left out; "batchflow
    rejected" lists these rows. Warns on stderr of changed files and of rows that were left out.
    Exits with 3, and loads nothing, if the source doesn't fit.
    """
    if not sources:
        raise click.UsageError(
            f"Name the workflow behind the files: batchflow load {shlex.quote(workflow)} WORKFLOW. "
            "It is the name of a workflow of the store, or FILE.py:NAME."
        )
    for source in sources:
        require_source(source, "A source")
    given = sources[0] if len(sources) == 1 else list(sources)
    report = _load_all(given, workflow, store, LoadOptions.taken_from(options))
    if as_json or not sys.stdout.isatty():
        warn_of_rows(report)
    if as_json:
        write_document(asdict(report))
    else:
        write(f"{report}\n")


def _load_all(
    source: str | list[str], workflow: str, store: Path, options: LoadOptions
) -> LoadReport:
    """Load into a store, or into each shard of a set."""
    if is_one_file(store):
        return _load(source, workflow, store, options)
    from batchflow.shards import Stores
    from batchflow.shards.load_reports import loads_of_all

    with Stores(store) as stores:
        if ":" not in workflow:
            return options.load(stores, source, workflow)
        paths = [Path(client.path) for client in stores.clients]
    return loads_of_all([_load(source, workflow, path, options) for path in paths])


def _load(source: str | list[str], workflow: str, store: Path, options: LoadOptions) -> LoadReport:
    definition = _definition(workflow)
    if definition is not None:
        from batchflow.engine import Engine

        try:
            with Engine(store, definition, workers=0) as engine:
                return options.load(engine, source, definition.name)
        except StoreHeldError:
            # An engine is running, and loads it.
            workflow = definition.name
    from batchflow.access import connect

    with connect(store) as client:
        return options.load(client, source, workflow)


def _definition(workflow: str) -> AnyWorkflow | None:
    """Return the workflow that a module or file defines; None for a name of the store's."""
    if ":" not in workflow:
        return None
    workflows = load_workflows(TargetType()(workflow))
    if len(workflows) > 1:
        raise click.UsageError("Name only one workflow, because a load fills one.")
    return workflows[0]
