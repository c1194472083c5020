"""``batchflow diagram``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batchflow.cli.options import json_option
from batchflow.cli.output import write, write_document
from batchflow.cli.target import Target, TargetType, load_workflows
from batchflow.picture import picture_of

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow


@click.command(
    epilog="""\b
Example:
  batchflow diagram pipeline.py:orders > orders.mmd
"""
)
@click.argument("target", type=TargetType(), metavar="FILE:WORKFLOW[,WORKFLOW...]")
@click.option("--svg", "as_svg", is_flag=True, help="Draw one workflow as an SVG image instead.")
@json_option
def diagram(target: Target, *, as_svg: bool, as_json: bool) -> None:
    """Draw a workflow's statuses and steps as a Mermaid diagram.

    Needs the workflow's code, and no store. Name workflows as FILE.py:NAME or MODULE:NAME, several
    of the same file separated by commas. The definition is checked first.

    Prints the diagram's text, or the SVG image with --svg. With --json, prints an object with the
    diagram of each workflow by name. Exits with 3 if the file can't be imported or the definition
    is invalid.
    """
    workflows = load_workflows(target)
    for workflow in workflows:
        workflow.check()
    if as_svg and not as_json and len(workflows) > 1:
        raise click.UsageError("--svg draws one workflow. Name only one, or add --json.")
    drawn = {each.name: _svg(each) if as_svg else each.mermaid() for each in workflows}
    if as_json:
        write_document(drawn)
    else:
        write("\n".join(drawn.values()))


def _svg(workflow: AnyWorkflow) -> str:
    return picture_of(workflow).svg(standalone=True)
