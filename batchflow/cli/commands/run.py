"""``batchflow run``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.drain import exit_code_of, failure_in_words, run_until_idle
from batchflow.cli.executor_options import ExecutorChoice, executor_options
from batchflow.cli.load_options import (
    LoadOptions,
    load_options,
    require_source,
    warn_of_rows,
)
from batchflow.cli.logs import configure_logging
from batchflow.cli.options import (
    allow_url_option,
    json_option,
    new_store_option,
    quiet_option,
    shard_option,
    verbose_option,
)
from batchflow.cli.output import note, write, write_document
from batchflow.cli.target import Target, TargetType, load_workflows
from batchflow.cli.time_options import TimeType, time_in_words

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow
    from batchflow.engine import Engine, Report
    from batchflow.operation import LoadReport


@dataclass(frozen=True, kw_only=True)
class LoadChoices:
    """The source to load first, and how to load it."""

    source: str | None
    workflow: str | None
    options: LoadOptions

    def __post_init__(self) -> None:
        if self.source is not None:
            require_source(self.source, "--load")
        elif self.workflow or self.options.any_needs_source:
            raise click.UsageError(
                "--foreign-id, --at, --strict, --again, --once and --load-into need --load."
            )

    def load(self, engine: Engine) -> LoadReport | None:
        """Load the source, if there is one."""
        if self.source is None:
            return None
        return self.options.load(engine, self.source, self.workflow)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to execute the steps, and what to show."""

    store: Path
    shard: str | None
    executor: ExecutorChoice
    wait_for_retries: bool | None
    limit: int | None
    until: datetime | None
    canary: float | None
    canary_failures: float
    rerun_share: float | None
    allowed_urls: tuple[str, ...]
    as_json: bool
    quiet: bool
    verbose: bool
    log_values: bool

    def __post_init__(self) -> None:
        if ("{shard}" in self.store.name) != (self.shard is not None):
            raise click.UsageError(
                "--shard 3/8 needs a path with {shard} in place of the number, like --store "
                "'night-{shard}.duckdb', and such a path needs --shard."
            )

    @property
    def opened(self) -> str:
        """The path of the store that is opened, which is one of several with --shard."""
        number = (self.shard or "").partition("/")[0]
        return str(self.store).replace("{shard}", number) if number else str(self.store)


@dataclass
class RunResult:
    """The reports of the command so far, also if it fails.

    Attributes:
        load: The report of the load, if one succeeded.
        report: The report of the drain, if one ended, also by a signal.
    """

    load: LoadReport | None = None
    report: Report | None = None

    def as_dict(self, error: str | None = None) -> dict[str, object]:
        """Return the document that the command writes, with the error that ended it."""
        report = None if self.report is None else self.report.as_dict()
        return {"load": self.load, "report": report, "error": error}


@click.command(
    epilog="""\b
Example:
  batchflow run pipeline.py:orders --store orders.duckdb \\
    --load 'orders-*.parquet' --foreign-id order_id --once --until 06:00
""",
)
@click.argument("target", type=TargetType(), metavar="MODULE_OR_FILE:WORKFLOW[,WORKFLOW...]")
@new_store_option
@shard_option
@click.option("--load", "source", metavar="SOURCE", help="Load this first: files, or SQL.")
@click.option(
    "--load-into",
    "workflow",
    metavar="NAME",
    help="The workflow to load, if several.",
)
@load_options
@executor_options
@click.option(
    "--wait-for-retries/--no-wait-for-retries",
    default=None,
    help="Also wait for runs that are retried later.  [default: with --until, until then]",
)
@click.option(
    "--limit",
    metavar="NUMBER",
    type=click.IntRange(min=1),
    help="Execute steps for at most about this many runs.",
)
@click.option(
    "--until",
    type=TimeType(),
    help="Stop at this time, by default in local time. A passed HH:MM is tomorrow's.",
)
@click.option(
    "--canary",
    metavar="SHARE",
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="Let this share of the runs at each status, like 0.01, go all the way first.",
)
@click.option(
    "--canary-failures",
    metavar="SHARE",
    type=click.FloatRange(min=0, max=1),
    default=0.1,
    show_default=True,
    help="Stop after the canary if more than this share of it failed.",
)
@click.option(
    "--rerun-share",
    metavar="SHARE",
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="Let runs that were put back take at most this share of the workers from others.",
)
@allow_url_option
@json_option
@quiet_option
@verbose_option
@click.option("--log-values", is_flag=True, help="Include values of records in messages.")
def run(target: Target, **options: Any) -> int:
    """Load a source, if one is given, and execute steps until no run is runnable.

    Name workflows as FILE.py:NAME or MODULE:NAME, several of the same file separated by commas.
    Runs that fail are retried, and paused after too many attempts. A run whose retry is due later
    is left to a later command, unless you give --wait-for-retries, or --until with a later time.
    You can interrupt the command at any time: committed work is kept. To continue, give the same
    command again.

    An unchanged file is loaded once. A changed file is a new one, and all of its rows are loaded
    again: give --once to skip records that were ever loaded, or --on-conflict update to correct
    unfinished runs. If the load fails, because no file matches or a file is empty or broken, no
    step is executed. --quiet doesn't hide the warnings of changed files and rows left out.

    Prints a report: the runs by status, what each step did, and the most frequent failures. Shows
    a progress bar on a terminal, and logs a line every ten seconds elsewhere. Exits with 1 if runs
    were paused or wait for a retry, with 4 if --limit, --until, --canary or a stop cut it short and
    runs are left, with 3 if the load or the engine failed, and with 75 if another process has the
    store open. Runs that were paused before don't change the exit code. With --json, a command that
    fails or that a signal ends also prints what it has done, and the error.
    """
    choices = LoadChoices(
        source=options.pop("source"),
        workflow=options.pop("workflow"),
        options=LoadOptions.taken_from(options),
    )
    executor = ExecutorChoice.taken_from(options)
    return _run(target, choices, RunOptions(executor=executor, **options))


def _run(target: Target, choices: LoadChoices, options: RunOptions) -> int:
    workflows = load_workflows(target)
    if choices.source is not None and choices.workflow is None and len(workflows) > 1:
        names = ", ".join(workflow.name for workflow in workflows)
        raise click.UsageError(f"Choose the workflow to load with --load-into: {names}.")
    configure_logging(quiet=options.quiet, verbose=options.verbose)
    result = RunResult()
    try:
        _execute(workflows, choices, options, result)
    except BaseException as error:
        if options.as_json:
            write_document(result.as_dict(error=failure_in_words(error)))
        raise
    assert result.report is not None
    _write_report(result.report, result, options)
    return exit_code_of(result.report)


def _execute(
    workflows: Sequence[AnyWorkflow], choices: LoadChoices, options: RunOptions, result: RunResult
) -> None:
    from batchflow.engine import Engine, EngineConfig

    config = EngineConfig(log_values=options.log_values, allowed_urls=options.allowed_urls)
    executor = options.executor.factory()
    with Engine(
        options.store, *workflows, executor=executor, config=config, shard=options.shard
    ) as engine:
        result.load = choices.load(engine)
        if result.load is not None:
            _show_load(result.load, quiet=options.quiet)
        if options.until is not None and not options.quiet:
            note(f"Steps are executed until {time_in_words(options.until, datetime.now(UTC))}.")
        try:
            run_until_idle(
                engine,
                quiet=options.quiet,
                wait_for_retries=options.wait_for_retries,
                limit=options.limit,
                until=options.until,
                canary=options.canary,
                canary_failures=options.canary_failures,
                rerun_share=options.rerun_share,
            )
        finally:
            result.report = engine.last_report


def _show_load(loaded: LoadReport, *, quiet: bool) -> None:
    if quiet:
        warn_of_rows(loaded)
    else:
        note(str(loaded))


def _write_report(report: Report, result: RunResult, options: RunOptions) -> None:
    if options.as_json:
        write_document(result.as_dict())
    else:
        # A file has room for whole messages.
        write(f"{report if sys.stdout.isatty() else report.text()}\n")
    if report.failures and not options.quiet:
        note(f"List the failures with: batchflow errors --store {shlex.quote(options.opened)}")
