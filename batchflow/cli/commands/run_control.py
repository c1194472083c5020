"""``batchflow pause``, ``resume``, ``cancel``, ``retry`` and ``edit``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from batchflow.cli.opening import opened_store
from batchflow.cli.options import json_option, one_workflow_option, store_option, where_option
from batchflow.cli.output import write, write_document
from batchflow.cli.target import Target, TargetType, load_workflows
from batchflow.cli.workflow_choice import choose_workflow

if TYPE_CHECKING:
    from batchflow.operation import ControlReport


class RunIdType(click.ParamType[UUID]):
    """A run id, which is a UUID."""

    name = "UUID"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> UUID:
        """Return the run id."""
        if isinstance(value, UUID):
            return value
        try:
            return UUID(str(value))
        except ValueError:
            quoted = str(value).replace("'", "''")
            where = f"foreign_id = '{quoted}'"
            self.fail(
                f"{value!r} is no run id, which is a UUID. If it is a foreign id, choose the run "
                f'with --where "{where}".',
                param,
                ctx,
            )


@dataclass(frozen=True, kw_only=True)
class RunControlOptions:
    """The options of a command that controls runs."""

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
                "Choose runs with exactly one of --where (an SQL predicate, true for all runs) and "
                "--run-id."
            )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the client's method."""
        reason = {} if self.reason is None else {"reason": self.reason}
        run_ids = self.run_ids or None
        return {"where": self.where, "run_ids": run_ids, "dry_run": self.dry_run, **reason}


@dataclass(frozen=True, kw_only=True)
class RetryOptions(RunControlOptions):
    """The options of ``retry``, which has another way to choose runs."""

    cause: str | None

    def __post_init__(self) -> None:
        if self.cause is not None:
            if self.run_ids:
                raise click.UsageError("Choose runs with only one of --cause and --run-id.")
        elif self.where is None and not self.run_ids:
            raise click.UsageError(
                "Choose runs with --cause, --where or --run-id; --where \"run_state = 'PAUSED'\" "
                "chooses those that are paused."
            )
        else:
            super().__post_init__()

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the client's method."""
        return {**super().arguments(), "cause": self.cause}


def _run_control_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.argument("target", type=TargetType(), metavar="[FILE:WORKFLOW]", required=False),
            store_option,
            one_workflow_option,
            where_option,
            click.option(
                "--run-id",
                "run_ids",
                type=RunIdType(),
                multiple=True,
                help="Only the run with this id. May be given several times.",
            ),
            click.option(
                "--reason", metavar="TEXT", help="The reason, which is stored with each run."
            ),
            click.option("--dry-run", is_flag=True, help="Count the runs, and change nothing."),
            json_option,
        ]
    ):
        command = option(command)
    return command


def _examples(operation: str, reason: str) -> str:
    return f"""\b
Examples:
  batchflow {operation} --store orders.duckdb --where "status = 'CREATED'" --dry-run
  batchflow {operation} --store orders.duckdb --where "status = 'CREATED'" --reason "{reason}"
"""


@click.command(epilog=_examples("pause", "wrong prices"))
@_run_control_options
def pause(target: Target | None, **options: Any) -> None:
    """Pause unfinished runs until you resume or cancel them.

    Choose runs with --where or --run-id. No step is executed for a paused run. Runs that are
    finished or already paused are refused: they don't change. If a step is being executed for a
    run, its result is dropped. FILE:WORKFLOW names the workflow like --workflow; you need neither
    if the store has only one.

    Prints how many runs were paused and how many were refused. Exits with 3, and changes nothing,
    if the predicate is invalid or a run doesn't exist.
    """
    _control("pause", target, RunControlOptions(**options))


@click.command(epilog=_examples("resume", "prices corrected"))
@_run_control_options
def resume(target: Target | None, **options: Any) -> None:
    """Resume paused runs at their status, as on their first attempt.

    Choose runs with --where or --run-id. Runs that aren't paused are refused: they don't change. A
    running engine executes resumed runs; otherwise the next "batchflow run" does.
    FILE:WORKFLOW names the workflow like --workflow; you need neither if the store has only one.

    Prints how many runs were resumed and how many were refused. Exits with 3, and changes nothing,
    if the predicate is invalid or a run doesn't exist.
    """
    _control("resume", target, RunControlOptions(**options))


@click.command(epilog=_examples("cancel", "loaded by mistake"))
@_run_control_options
def cancel(target: Target | None, **options: Any) -> None:
    """Cancel unfinished runs for good, at the status they have.

    Choose runs with --where or --run-id. Finished runs are refused: they don't change. If a step is
    being executed for a run, its result is dropped. A cancelled run can't be resumed, only retried;
    its foreign id can be loaded again. FILE:WORKFLOW names the workflow like --workflow; you need
    neither if the store has only one.

    Prints how many runs were cancelled and how many were refused. Exits with 3, and changes
    nothing, if the predicate is invalid or a run doesn't exist.
    """
    _control("cancel", target, RunControlOptions(**options))


@click.command(
    epilog="""\b
Examples:
  batchflow retry --store orders.duckdb --where "status = 'PAYMENT_FAILED'" --at VALIDATED
  batchflow retry --store orders.duckdb --where "run_state = 'PAUSED'" --reason fixed --dry-run
  batchflow retry --store orders.duckdb --cause 7d1e0c6b
"""
)
@_run_control_options
@click.option(
    "--at",
    metavar="STATUS",
    help="The status where the runs continue.  [default: the one they have]",
)
@click.option(
    "--cause", metavar="ID", help='Only runs that stand at this cause, as "errors" lists it.'
)
def retry(target: Target | None, at: str | None, **options: Any) -> None:
    """Put runs back that are paused, wait for a retry, were cancelled or are completed.

    Choose runs with --cause, --where or --run-id. They continue as on their first attempt, and stay
    the same runs. Runs in progress are refused, and so are those at a status without a step, those
    whose object was erased, and finished ones whose foreign id has another unfinished run: they
    don't change. A running engine executes retried runs; otherwise the next "batchflow run" does.
    FILE:WORKFLOW names the workflow like --workflow; you need neither if the store has only one.

    Prints how many runs were retried, and how many were refused and why. Exits with 3, and changes
    nothing, if the predicate or the status is invalid or a run doesn't exist.
    """
    _control("retry", target, RetryOptions(**options), at=at)


@click.command(
    epilog="""\b
Examples:
  batchflow edit --store orders.duckdb --where "country = 'br'" --set "country=upper(country)"
  batchflow edit --store orders.duckdb --where true --set total=0 --set "note='reset'" --dry-run
"""
)
@_run_control_options
@click.option(
    "--set",
    "assignments",
    metavar="FIELD=SQL",
    multiple=True,
    required=True,
    help="A field and the SQL expression of its value. May be given several times.",
)
def edit(target: Target | None, assignments: tuple[str, ...], **options: Any) -> None:
    """Set fields of runs to SQL expressions over the runs' columns.

    Choose runs with --where or --run-id. Status and run state stay as they are, also of finished
    runs. If a step is being executed for a run, it is executed again on the edited object. Runs
    whose object was erased are refused: they don't change. FILE:WORKFLOW names the workflow like
    --workflow; you need neither if the store has only one.

    Prints how many runs were edited and how many were refused. Exits with 3, and changes nothing,
    if the predicate or an expression is invalid, also for a single run.
    """
    _control("edit", target, RunControlOptions(**options), set=assigned(assignments, "--set"))


def assigned(assignments: Sequence[str], option: str) -> dict[str, str]:
    """Return the expressions of an option that is given as ``FIELD=SQL``, by their fields.

    Raises:
        click.UsageError: One isn't given so, or a field is given twice.
    """
    named = [assignment.partition("=") for assignment in assignments]
    if any(not equals for _, equals, _ in named):
        raise click.UsageError(f"{option} needs FIELD=SQL, like {option} total=0.")
    values = {field.strip(): expression for field, _, expression in named}
    if len(values) < len(named):
        fields = [field.strip() for field, _, _ in named]
        twice = next(field for field in fields if fields.count(field) > 1)
        raise click.UsageError(f"{option} names the field {twice!r} twice. Give each field once.")
    return values


def _control(
    operation: str, target: Target | None, options: RunControlOptions, **more: Any
) -> None:
    workflow = options.workflow if target is None else _target_name(target, options)

    with opened_store(options.store) as store:
        if workflow is None and not options.run_ids:
            workflow = choose_workflow(store, None)
        report = getattr(store, operation)(workflow=workflow, **options.arguments(), **more)
    _write_report(operation, report, options)


def _target_name(target: Target, options: RunControlOptions) -> str:
    if options.workflow is not None:
        raise click.UsageError("Choose the workflow with only one of FILE:WORKFLOW and --workflow.")
    workflows = load_workflows(target)
    if len(workflows) > 1:
        raise click.UsageError("Name only one workflow. --where refers to its columns.")
    return workflows[0].name


def _write_report(operation: str, report: ControlReport, options: RunControlOptions) -> None:
    if options.as_json:
        counts = {"changed": report.changed, "refused": report.refused}
        about = {"operation": operation, "dry_run": options.dry_run}
        write_document({**about, **counts, "refusals": dict(report.refusals)})
        return
    write(f"{report}.\n")
