"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.opening import OneStoreType, StoreType, require_shard

STORE_VARIABLE = "BATCHFLOW_STORE"

_STORE_HELP = "The store: a DuckDB file."
_SET_HELP = "Of several shards, a pattern like night-{shard}.duckdb, a glob or their folder."

new_store_option = click.option(
    "--store",
    required=True,
    envvar=STORE_VARIABLE,
    show_envvar=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"{_STORE_HELP} It is created if it doesn't exist.",
)
loaded_store_option = click.option(
    "--store",
    required=True,
    envvar=STORE_VARIABLE,
    show_envvar=True,
    type=click.Path(path_type=Path),
    help=f"{_STORE_HELP} It is created if it doesn't exist. {_SET_HELP}",
)
store_option = click.option(
    "--store",
    required=True,
    envvar=STORE_VARIABLE,
    show_envvar=True,
    type=StoreType(),
    help=f"{_STORE_HELP} {_SET_HELP}",
)
one_store_option = click.option(
    "--store",
    required=True,
    envvar=STORE_VARIABLE,
    show_envvar=True,
    type=OneStoreType(),
    help=_STORE_HELP,
)
json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
traceback_option = click.option(
    "--traceback", "tracebacks", is_flag=True, help="Include the traceback of each error."
)
workflow_option = click.option(
    "--workflow", metavar="NAME", help="Only this workflow.  [default: all workflows of the store]"
)
one_workflow_option = click.option(
    "--workflow", metavar="NAME", help="The workflow; required if the store has several."
)
where_option = click.option(
    "--where",
    metavar="SQL",
    help="Only runs that satisfy this SQL predicate over the columns of runs.",
)
shard_option = click.option(
    "--shard",
    metavar="NUMBER/OF",
    callback=require_shard,
    help="Open one of several stores that share the runs, like 3/8 for the third of eight. The "
    "path of --store then has {shard} in place of the number.",
)
workers_option = click.option(
    "--workers",
    metavar="NUMBER",
    type=click.IntRange(min=0),
    help="Execute steps in this many processes; 0: in this process.  [default: one per core]",
)
quiet_option = click.option(
    "--quiet", "-q", is_flag=True, help="Don't show progress; log warnings and errors only."
)
verbose_option = click.option("--verbose", "-v", is_flag=True, help="Log each commit.")


def _require_folder_urls(
    context: click.Context, option: click.Parameter, urls: tuple[str, ...]
) -> tuple[str, ...]:
    if urls:
        # Imported here, as it takes as long as DuckDB.
        from batchflow.store.urls.url import is_folder

        for url in urls:
            if not is_folder(url):
                raise click.BadParameter(
                    f"{url!r} isn't the URL of a folder. Give one that ends in a slash, like "
                    "s3://bucket/folder/.",
                    context,
                    option,
                )
    return urls


allow_url_option = click.option(
    "--allow-url",
    "allowed_urls",
    metavar="URL",
    multiple=True,
    callback=_require_folder_urls,
    help="Let other processes load from this folder of URLs meanwhile; repeatable.",
)
