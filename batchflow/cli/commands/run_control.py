"""``batchflow pause``, ``resume`` and ``cancel``: what people do to runs by the set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from batchflow.cli.options import json_option, store_option, workflow_option
from batchflow.cli.output import rows_of, write, write_document
from batchflow.cli.target import Target, TargetType, load_workflows
from batchflow.cli.workflow_choice import choose_workflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchflow.access import StoreClient
    from batchflow.store import Moved

_BY_HAND = {"pause": "paused by hand", "resume": "resumed by hand", "cancel": "cancelled by hand"}


@dataclass(frozen=True, kw_only=True)
class RunControlOptions:
    """What a command was told."""

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
                'Say which runs with --where (a predicate, "true" for all) or --run-id; one of '
                "the two."
            )

    @property
    def predicate(self) -> str:
        """Answer an SQL predicate for the chosen runs."""
        if self.where is not None:
            return self.where
        return f"run_id IN ({', '.join(repr(str(run_id)) for run_id in self.run_ids)})"

    def chosen_for(self, verb: str) -> dict[str, Any]:
        """Answer which runs, and why, as whoever moves them is told."""
        reason = _BY_HAND[verb] if self.reason is None else self.reason
        return {"where": self.where, "run_ids": self.run_ids or None, "reason": reason}


def _run_control_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.argument("target", type=TargetType(), metavar="[FILE:WORKFLOW]", required=False),
            store_option,
            workflow_option,
            click.option("--where", metavar="SQL", help="A predicate over the runs' columns."),
            click.option(
                "--run-id", "run_ids", type=click.UUID, multiple=True, help="One run; repeatable."
            ),
            click.option("--reason", help="Why, for whoever looks at the runs later."),
            click.option("--dry-run", is_flag=True, help="Count them, and change nothing."),
            json_option,
        ]
    ):
        command = option(command)
    return command


def _example(verb: str) -> str:
    return f"""\b
Example:
  batchflow {verb} --store orders.duckdb --where "status = 'CREATED'" --dry-run

Where an engine is at work on the store, it does that between its commits. FILE:WORKFLOW says
which workflow is meant, as --workflow does; no definition is needed.
"""


@click.command(short_help="Hold runs where they stand.", epilog=_example("pause"))
@_run_control_options
def pause(target: Target | None, **options: Any) -> None:
    """Hold runs where they stand, until somebody resumes or cancels them."""
    _control("pause", target, RunControlOptions(**options))


@click.command(short_help="Let paused runs go on.", epilog=_example("resume"))
@_run_control_options
def resume(target: Target | None, **options: Any) -> None:
    """Let paused runs go on where they stand, as on their first attempt."""
    _control("resume", target, RunControlOptions(**options))


@click.command(epilog=_example("cancel"))
@_run_control_options
def cancel(target: Target | None, **options: Any) -> None:
    """End runs where they stand, for good."""
    _control("cancel", target, RunControlOptions(**options))


def _control(verb: str, target: Target | None, options: RunControlOptions) -> None:
    named = options.workflow if target is None else _named_by(target, options)
    from batchflow.access import connect

    with connect(options.store) as reader:
        workflow = named or _meant(reader, options)
        if options.dry_run:
            _tell(verb, _foreseen(reader, verb, workflow, options), options)
            return
        moved = _moved_by_engine(reader, verb, workflow, options) if reader.served else None
    _tell(verb, moved or _moved_here(verb, workflow, options), options)


def _named_by(target: Target, options: RunControlOptions) -> str:
    if options.workflow is not None:
        raise click.UsageError(
            "Say which workflow by FILE:WORKFLOW or by --workflow; give one of the two."
        )
    workflows = load_workflows(target)
    if len(workflows) > 1:
        raise click.UsageError("Name one workflow; its columns are what --where speaks of.")
    return workflows[0].name


def _meant(reader: StoreClient, options: RunControlOptions) -> str:
    if options.run_ids:
        return reader.workflow_of(options.run_ids[0])
    return choose_workflow(reader, None)


def _moved_by_engine(
    engine: StoreClient, verb: str, workflow: str, options: RunControlOptions
) -> Moved:
    moved: Moved = getattr(engine, verb)(workflow=workflow, **options.chosen_for(verb))
    return moved


def _moved_here(verb: str, workflow: str, options: RunControlOptions) -> Moved:
    from batchflow.engine.unattended import hold_stored

    return hold_stored(options.store, verb, workflow, **options.chosen_for(verb))


def _foreseen(reader: StoreClient, verb: str, workflow: str, options: RunControlOptions) -> Moved:
    """Answer what would be moved, by the rules that the store moves runs by."""
    from batchflow.store.runs.lifecycle import VERBS, Moved

    movable = {state.name for state in VERBS[verb].sources}
    chosen = reader.runs(options.predicate, workflow=workflow)
    states = {
        row["run_state"]: row["runs"]
        for row in rows_of(chosen.aggregate("run_state, count(*) AS runs"))
    }
    moved = sum(runs for state, runs in states.items() if state in movable)
    return Moved(moved, sum(states.values()) - moved)


def _tell(verb: str, moved: Moved, options: RunControlOptions) -> None:
    if options.as_json:
        counts = {"moved": moved.moved, "refused": moved.refused}
        write_document({"verb": verb, "dry_run": options.dry_run, **counts})
        return
    would = "would be moved" if options.dry_run else "moved"
    write(f"{verb}: {moved.moved:,} runs {would}, {moved.refused:,} refused for their run state\n")
