"""``batchflow run``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.drain import exit_code_of, run_until_idle
from batchflow.cli.logs import configure_logging
from batchflow.cli.options import (
    json_option,
    new_store_option,
    quiet_option,
    verbose_option,
    workers_option,
)
from batchflow.cli.output import note, prints_to_stderr, write, write_document
from batchflow.cli.target import Target, TargetType, load_workflows
from batchflow.cli.time_options import TimeType

if TYPE_CHECKING:
    from batchflow.engine import Engine, Report
    from batchflow.operation import LoadReport
    from batchflow.operation.requests import SkipOrError


@dataclass(frozen=True, kw_only=True)
class LoadChoices:
    """What is loaded first, and how."""

    source: str | None
    workflow: str | None
    foreign_id: str | None
    at: str | None
    on_conflict: SkipOrError
    on_invalid: SkipOrError
    strict: bool

    def __post_init__(self) -> None:
        if self.source is None and (self.workflow or self.foreign_id or self.at or self.strict):
            raise click.UsageError(
                "--foreign-id, --at, --strict and --load-into say how --load reads its source; "
                "give --load too."
            )

    def load(self, engine: Engine) -> LoadReport | None:
        """Load the source, if there is one."""
        if self.source is None:
            return None
        # Workers may come up already, and where they print is settled by that.
        with prints_to_stderr():
            return engine.trigger_many(
                self.source,
                foreign_id=self.foreign_id,
                at=self.at,
                workflow=self.workflow,
                on_conflict=self.on_conflict,
                on_invalid=self.on_invalid,
                strict=self.strict,
            )


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How far to go, and what to show."""

    store: Path
    workers: int | None
    wait_for_retries: bool
    limit: int | None
    until: datetime | None
    as_json: bool
    quiet: bool
    verbose: bool
    log_values: bool


@click.command(
    short_help="Load a source and move the runs.",
    epilog="""\b
Example, as often as one likes, as orders that are under way aren't loaded again:
  batchflow run pipeline.py:orders --store orders.duckdb \\
    --load 'orders-*.parquet' --foreign-id order_id --until 06:00
""",
)
@click.argument("target", type=TargetType(), metavar="MODULE_OR_FILE:WORKFLOW[,WORKFLOW...]")
@new_store_option
@click.option("--load", "source", metavar="SOURCE", help="First load a path, a glob or SQL text.")
@click.option("--load-into", "workflow", metavar="NAME", help="Into which of several workflows.")
@click.option("--foreign-id", metavar="COLUMN", help="The source's column with your own key.")
@click.option("--at", metavar="STATUS", help="Where loaded runs begin, if not at the start.")
@click.option(
    "--on-conflict",
    type=click.Choice(["skip", "error"]),
    default="skip",
    show_default=True,
    help="Rows whose foreign id has an unfinished run: leave them out, or load nothing.",
)
@click.option(
    "--on-invalid",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="Rows that don't fit the fields: load nothing, or leave them out.",
)
@click.option("--strict", is_flag=True, help="Refuse a source with columns that are no fields.")
@workers_option
@click.option("--wait-for-retries", is_flag=True, help="Also wait for runs that back off.")
@click.option("--limit", type=click.IntRange(min=1), help="Execute steps for so many runs.")
@click.option("--until", type=TimeType(), help="Stop then; without a time zone: local time.")
@json_option
@quiet_option
@verbose_option
@click.option("--log-values", is_flag=True, help="Show the values that errors are about.")
def run(target: Target, **options: Any) -> int:
    """Load a source if one is given, then move runs until nothing is runnable now.

    Progress is a bar on a terminal, and a line every ten seconds elsewhere.
    """
    choices = LoadChoices(**{name: options.pop(name) for name in LoadChoices.__annotations__})
    return _run(target, choices, RunOptions(**options))


def _run(target: Target, choices: LoadChoices, options: RunOptions) -> int:
    workflows = load_workflows(target)
    if choices.source is not None and choices.workflow is None and len(workflows) > 1:
        names = ", ".join(workflow.name for workflow in workflows)
        raise click.UsageError(f"Say with --load-into which workflow is loaded: {names}.")
    configure_logging(quiet=options.quiet, verbose=options.verbose)
    from batchflow.engine import Engine, EngineConfig

    config = EngineConfig(log_values=options.log_values)
    with Engine(options.store, *workflows, workers=options.workers, config=config) as engine:
        loaded = choices.load(engine)
        if loaded is not None and not options.quiet:
            note(str(loaded))
        report = run_until_idle(
            engine,
            quiet=options.quiet,
            wait_for_retries=options.wait_for_retries,
            limit=options.limit,
            until=options.until,
        )
    _tell(report, loaded, options)
    return exit_code_of(report)


def _tell(report: Report, loaded: LoadReport | None, options: RunOptions) -> None:
    if options.as_json:
        write_document({"load": loaded, "report": report.as_dict()})
    else:
        write(f"{report}\n")
    if report.failures and not options.quiet:
        note(f"batchflow errors --store {options.store} tells more of the failures.")
