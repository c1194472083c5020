"""The group of all commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from batchflow import __version__
from batchflow.cli.commands.check import check, repair
from batchflow.cli.commands.completion import completion
from batchflow.cli.commands.costs import costs
from batchflow.cli.commands.demo import demo
from batchflow.cli.commands.diagram import diagram
from batchflow.cli.commands.errors import errors
from batchflow.cli.commands.explain import explain
from batchflow.cli.commands.export import export
from batchflow.cli.commands.load import load
from batchflow.cli.commands.metrics import metrics
from batchflow.cli.commands.prune import prune
from batchflow.cli.commands.questions import (
    ages,
    counts,
    diff,
    durations,
    funnel,
    throughput,
    transitions,
)
from batchflow.cli.commands.rehearse import rehearse
from batchflow.cli.commands.rejected import rejected
from batchflow.cli.commands.repro import repro
from batchflow.cli.commands.reshard import reshard
from batchflow.cli.commands.run import run
from batchflow.cli.commands.run_control import cancel, edit, pause, resume, retry
from batchflow.cli.commands.runs import runs
from batchflow.cli.commands.show import show
from batchflow.cli.commands.sql import sql
from batchflow.cli.commands.status import status
from batchflow.cli.commands.stop import stop
from batchflow.cli.exit_code import EXIT_CODES

_EPILOG = f"""\b
Example:
  batchflow run pipeline.py:orders --store orders.duckdb --load orders.csv --foreign-id order_id
  batchflow status --store orders.duckdb

{EXIT_CODES}
Data is written to stdout. Progress, logs and errors are written to stderr.
"""

_SECTIONS: dict[str, Sequence[click.Command]] = {
    "Run": (run, load, demo),
    "Look": (
        status,
        counts,
        runs,
        show,
        errors,
        explain,
        repro,
        costs,
        metrics,
        rejected,
        sql,
        export,
        diagram,
    ),
    "Look at how runs move": (throughput, durations, transitions, funnel, ages, diff),
    "Control": (pause, resume, cancel, retry, rehearse, edit, stop),
    "Maintain": (prune, check, repair, reshard, completion),
}


class SectionedGroup(click.Group):
    """A group whose help lists its commands by purpose."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for commands in _SECTIONS.values():
            for command in commands:
                self.add_command(command)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, each with the first sentences of its commands' help."""
        width = max(map(len, self.commands))
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        ((command.name or "").ljust(width), command.get_short_help_str(limit=100))
                        for command in commands
                    ]
                )


@click.group(
    cls=SectionedGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="batchflow")
def batchflow() -> None:
    """Move millions of records through a state machine, stored as columns in a DuckDB file.

    A workflow is Python code: a dataclass for the record, an enum of statuses, and a step for each
    status that records leave. A run is one record on its way through a workflow, and a store is the
    DuckDB file that has all runs, their transitions and their errors. A run has a status, which
    your steps change, and a run state: INITIATED, RUNNING, PAUSED, COMPLETED or CANCELLED.

    Only run, rehearse, repro and diagram need the workflow's code; load can use it. All other
    commands need only the store. They also work while an engine, such as a batchflow run, has the
    store open: the engine executes them.

    "batchflow COMMAND --help" explains a command and its options.
    """
