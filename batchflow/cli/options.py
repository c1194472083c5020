"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

STORE_VARIABLE = "BATCHFLOW_STORE"

_STORE_HELP = "The store's DuckDB file."

new_store_option = click.option(
    "--store",
    required=True,
    envvar=STORE_VARIABLE,
    show_envvar=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"{_STORE_HELP} It is made if it isn't there.",
)
store_option = click.option(
    "--store",
    required=True,
    envvar=STORE_VARIABLE,
    show_envvar=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=_STORE_HELP,
)
json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
workflow_option = click.option(
    "--workflow", metavar="NAME", help="Which workflow, where the store has several."
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes that execute steps; 0: this one alone.  [default: one for each core]",
)
quiet_option = click.option(
    "--quiet", "-q", is_flag=True, help="No progress; warnings and errors alone."
)
verbose_option = click.option("--verbose", "-v", is_flag=True, help="Log every commit.")
