"""``batchflow rehearse``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from batchflow.cli.commands.run_control import assigned
from batchflow.cli.logs import configure_logging
from batchflow.cli.options import json_option, one_store_option, workers_option
from batchflow.cli.output import prints_to_stderr, write, write_document
from batchflow.cli.stand_ins import stand_ins_of
from batchflow.cli.target import Target, TargetType, load_workflows

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow
    from batchflow.engine import Engine, Rehearsal
    from batchflow.engine.rehearsing import RehearsalPlan
    from batchflow.operation import ControlReport


@dataclass(frozen=True, kw_only=True)
class RehearseOptions:
    """The options of the command."""

    store: Path
    where: str
    at: str | None
    until: str | None
    reset: tuple[str, ...]
    stand_in: tuple[str, ...]
    workers: int | None
    promote: bool
    reason: str
    as_json: bool

    def plan(self, workflow: AnyWorkflow) -> RehearsalPlan:
        """Return what is rehearsed."""
        from batchflow.engine.rehearsing import RehearsalPlan

        return RehearsalPlan(
            where=self.where,
            params=None,
            workflow=workflow,
            at=self.at,
            until=self.until,
            reset=assigned(self.reset, "--reset"),
            stand_ins=stand_ins_of(self.stand_in),
        )


@click.command(
    epilog="""\b
Examples:
  batchflow rehearse pipeline.py:orders --store orders.duckdb --where "run_state = 'PAUSED'"
  batchflow rehearse pipeline.py:orders --store orders.duckdb --where true --at CREATED
  batchflow rehearse pipeline.py:orders --store orders.duckdb --where "run_state = 'PAUSED'" \\
    --stand-in charge=pipeline.py:pretend_to_charge
"""
)
@click.argument("target", type=TargetType(), metavar="FILE:WORKFLOW")
@one_store_option
@click.option(
    "--where",
    metavar="SQL",
    required=True,
    help="The runs: an SQL predicate over the columns of runs.",
)
@click.option("--at", metavar="STATUS", help="Begin at this status.  [default: each at its own]")
@click.option("--until", metavar="STATUS", help="End at this status; don't execute its step.")
@click.option(
    "--reset",
    metavar="FIELD=SQL",
    multiple=True,
    help="A field that is set first, and the SQL of its value. May be given several times.",
)
@click.option(
    "--stand-in",
    metavar="STEP=FILE:FUNCTION",
    multiple=True,
    help="A function that is called in place of a step. May be given several times.",
)
@workers_option
@click.option("--promote", is_flag=True, help="Store exactly what is shown.")
@click.option(
    "--reason", metavar="TEXT", default="rehearsed", help="The reason, stored with --promote."
)
@json_option
def rehearse(target: Target, **options: Any) -> None:
    """Execute steps for copies of runs, and show what would change.

    The copies have a store of their own. Nothing is written to the store, unless you give
    --promote: then what is shown is stored, without executing a step again, for the runs that
    didn't change meanwhile. The copies are put back like "batchflow retry" puts runs back. A step
    with side effects is refused; end before it with --until, or give a function that is called in
    its place with --stand-in. The effects of that step aren't made then, so nothing can be stored.

    Prints where the runs are and where the copies came to, which fields changed in how many runs
    with samples, and why copies failed.
    """
    workflows = load_workflows(target)
    if len(workflows) > 1:
        raise click.UsageError("Name only one workflow. --where refers to its columns.")
    if options["promote"] and options["stand_in"]:
        raise click.UsageError(
            "A rehearsal with --stand-in can't be stored, because the effects of its steps weren't "
            "made. Leave out --promote, or --stand-in."
        )
    configure_logging(quiet=True, verbose=False)
    chosen = RehearseOptions(**options)
    with prints_to_stderr():
        shown, promoted = (_promoted if chosen.promote else _shown)(workflows[0], chosen)
    if chosen.as_json:
        stored = {} if promoted is None else {"promoted": asdict(promoted)}
        write_document({**shown.as_dict(), **stored})
    else:
        write(f"{shown}\n" if promoted is None else f"{shown}\n{promoted}.\n")


def _shown(workflow: AnyWorkflow, options: RehearseOptions) -> tuple[Rehearsal, None]:
    from batchflow.access import connect
    from batchflow.clock import SystemClock
    from batchflow.engine import Engine, EngineConfig
    from batchflow.engine.rehearsing import rehearse as rehearse_runs

    def open_copies(path: Path, rehearsed: AnyWorkflow) -> Engine:
        config = EngineConfig(serve=False)
        return Engine(path, rehearsed, workers=options.workers, config=config)

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("Only an engine promotes a rehearsal.")

    plan = options.plan(workflow)
    with (
        connect(options.store) as reader,
        rehearse_runs(reader, plan, SystemClock(), open_copies, refuse) as shown,
    ):
        return shown, None


def _promoted(workflow: AnyWorkflow, options: RehearseOptions) -> tuple[Rehearsal, ControlReport]:
    from batchflow.engine import Engine

    with (
        Engine(options.store, workflow, workers=options.workers) as engine,
        engine.rehearse_plan(options.plan(workflow)) as shown,
    ):
        return shown, shown.promote(options.reason)
