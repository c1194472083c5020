"""``batchflow repro``."""

from __future__ import annotations

from pathlib import Path

import click

from batchflow.cli.opening import opened_store
from batchflow.cli.options import json_option, store_option
from batchflow.cli.output import write, write_document
from batchflow.cli.target import Target, TargetType, load_workflows


@click.command(
    epilog="""\b
Examples:
  batchflow repro pipeline.py:orders order-17 --store orders.duckdb
  batchflow repro pipeline.py:orders 5f0c2a9be1d4 --store orders.duckdb --folder repro --values
""",
)
@click.argument("target", type=TargetType(), metavar="FILE:WORKFLOW")
@click.argument("run")
@store_option
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("repro"),
    show_default=True,
    help="The folder of the test, which is created.",
)
@click.option("--values", is_flag=True, help="Include the values of the run's object.")
@json_option
def repro(
    target: Target, run: str, *, store: Path, folder: Path, values: bool, as_json: bool
) -> None:
    """Write a test that fails as a run did.

    RUN is a run id, a foreign id, or a cause of "batchflow errors", which stands for its latest
    run. The test calls the step of FILE:WORKFLOW with an object like the run's. Without --values,
    the object has placeholders of the fields' types.

    Prints the path of the test. Exits with 3 if there is no such run, if it hasn't failed, or if
    the folder has a test already.
    """
    workflows = load_workflows(target)
    if len(workflows) != 1:
        raise click.UsageError("Give one workflow, like pipeline.py:orders.")
    with opened_store(store) as reader:
        path = reader.repro(run, folder, values=values, workflow=workflows[0])
    if as_json:
        write_document({"test": str(path)})
    else:
        write(f"{path}\n")
