"""``batchflow diagram``."""

from __future__ import annotations

import click

from batchflow.cli.options import json_option
from batchflow.cli.output import write, write_document
from batchflow.cli.target import Target, TargetType, load_workflows


@click.command(
    epilog="""\b
Example:
  batchflow diagram pipeline.py:orders > orders.mmd
"""
)
@click.argument("target", type=TargetType(), metavar="FILE:WORKFLOW")
@json_option
def diagram(target: Target, *, as_json: bool) -> None:
    """Draw a workflow's statuses and steps as a Mermaid state diagram."""
    workflows = load_workflows(target)
    for workflow in workflows:
        workflow.check()
    drawn = {workflow.name: workflow.mermaid() for workflow in workflows}
    if as_json:
        write_document(drawn)
    else:
        write("\n".join(drawn.values()))
