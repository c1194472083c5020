"""``batchflow pause``, ``resume`` and ``cancel``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from batchflow.cli.options import json_option, store_option, workflow_option
from batchflow.cli.output import write, write_document
from batchflow.cli.target import Target, TargetType, load_workflows

if TYPE_CHECKING:
    from batchflow.operation import ControlReport


@dataclass(frozen=True, kw_only=True)
class RunControlOptions:
    """The options of a command that changes runs."""

    store: Path
    workflow: str | None
    where: str | None
    run_ids: tuple[UUID, ...]
    reason: str | None
    dry_run: bool
    as_json: bool

    def __post_init__(self) -> None:
        if (self.where is None) == (not self.run_ids):
            raise click.UsageError(
                'Choose runs with exactly one of --where and --run-id; --where "true" chooses all.'
            )

    def chosen(self) -> dict[str, Any]:
        """Return the options of the operation."""
        reason = {} if self.reason is None else {"reason": self.reason}
        run_ids = self.run_ids or None
        return {"where": self.where, "run_ids": run_ids, "dry_run": self.dry_run, **reason}


def _run_control_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.argument("target", type=TargetType(), metavar="[FILE:WORKFLOW]", required=False),
            store_option,
            workflow_option,
            click.option("--where", metavar="SQL", help="Runs that a predicate chooses."),
            click.option(
                "--run-id", "run_ids", type=click.UUID, multiple=True, help="One run; repeatable."
            ),
            click.option("--reason", help="Why; kept with the runs."),
            click.option("--dry-run", is_flag=True, help="Count the runs, and change nothing."),
            json_option,
        ]
    ):
        command = option(command)
    return command


def _example(name: str) -> str:
    return f"""\b
Example:
  batchflow {name} --store orders.duckdb --where "status = 'CREATED'" --dry-run

While an engine has the store open, the engine does this between its commits. FILE:WORKFLOW names
the workflow, as --workflow does; its code isn't needed.
"""


@click.command(short_help="Pause runs at their status.", epilog=_example("pause"))
@_run_control_options
def pause(target: Target | None, **options: Any) -> None:
    """Pause runs at their status, until they are resumed or cancelled."""
    _control("pause", target, RunControlOptions(**options))


@click.command(short_help="Let paused runs continue.", epilog=_example("resume"))
@_run_control_options
def resume(target: Target | None, **options: Any) -> None:
    """Let paused runs continue at their status, on their first attempt."""
    _control("resume", target, RunControlOptions(**options))


@click.command(epilog=_example("cancel"))
@_run_control_options
def cancel(target: Target | None, **options: Any) -> None:
    """End runs at their status, for good."""
    _control("cancel", target, RunControlOptions(**options))


def _control(name: str, target: Target | None, options: RunControlOptions) -> None:
    workflow = options.workflow if target is None else _named_by(target, options)
    from batchflow.access import connect

    with connect(options.store) as store:
        report = getattr(store, name)(workflow=workflow, **options.chosen())
    _write_report(name, report, options)


def _named_by(target: Target, options: RunControlOptions) -> str:
    if options.workflow is not None:
        raise click.UsageError("Name the workflow with one of FILE:WORKFLOW and --workflow.")
    workflows = load_workflows(target)
    if len(workflows) > 1:
        raise click.UsageError("Name one workflow, as --where is about the columns of its runs.")
    return workflows[0].name


def _write_report(name: str, report: ControlReport, options: RunControlOptions) -> None:
    if options.as_json:
        write_document({"command": name, "dry_run": options.dry_run, **asdict(report)})
    else:
        write(f"{name}: {report}{' (dry run)' if options.dry_run else ''}\n")
