"""The group of all commands."""

from __future__ import annotations

import click

from batchflow import __version__
from batchflow.cli.commands.completion import completion
from batchflow.cli.commands.demo import demo
from batchflow.cli.commands.diagram import diagram
from batchflow.cli.commands.errors import errors
from batchflow.cli.commands.export import export
from batchflow.cli.commands.prune import prune
from batchflow.cli.commands.questions import (
    ages,
    counts,
    durations,
    funnel,
    throughput,
    transitions,
)
from batchflow.cli.commands.run import run
from batchflow.cli.commands.run_control import cancel, pause, resume
from batchflow.cli.commands.runs import runs
from batchflow.cli.commands.show import show
from batchflow.cli.commands.sql import sql
from batchflow.cli.commands.status import status
from batchflow.cli.commands.stop import stop
from batchflow.cli.exit_code import EPILOG

_COMMANDS = (
    *(ages, cancel, completion, counts, demo, diagram, durations, errors, export, funnel, pause),
    *(prune, resume, run, runs, show, sql, status, stop, throughput, transitions),
)


@click.group(
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="batchflow")
def batchflow() -> None:
    """Move millions of records through typed state machines, kept as columns in DuckDB."""


for _command in _COMMANDS:
    batchflow.add_command(_command)
