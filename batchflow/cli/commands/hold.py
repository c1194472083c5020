"""``batchflow pause``, ``resume`` and ``cancel``: what people do to runs by the set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from batchflow.cli.options import json_option, store_option
from batchflow.cli.output import rows_of, write, write_document
from batchflow.cli.target import Target, TargetType, load_workflows

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchflow.store.lifecycle import Moved, Verb

_EPILOG = """\b
Example:
  batchflow resume pipeline.py:orders --store orders.duckdb --where "status = 'CREATED'" --dry-run
"""


@dataclass(frozen=True, kw_only=True)
class HoldOptions:
    """What a command was told."""

    store: Path
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


def _hold_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.argument("target", type=TargetType(), metavar="FILE:WORKFLOW"),
            store_option,
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


@click.command(short_help="Hold runs where they stand.", epilog=_EPILOG)
@_hold_options
def pause(target: Target, **options: Any) -> None:
    """Hold runs where they stand, until somebody resumes or cancels them."""
    _hold("pause", target, HoldOptions(**options))


@click.command(short_help="Let paused runs go on.", epilog=_EPILOG)
@_hold_options
def resume(target: Target, **options: Any) -> None:
    """Let paused runs go on where they stand, as on their first attempt."""
    _hold("resume", target, HoldOptions(**options))


@click.command(epilog=_EPILOG)
@_hold_options
def cancel(target: Target, **options: Any) -> None:
    """End runs where they stand, for good."""
    _hold("cancel", target, HoldOptions(**options))


def _hold(verb: str, target: Target, options: HoldOptions) -> None:
    workflows = load_workflows(target)
    if len(workflows) > 1:
        raise click.UsageError("Name one workflow; its columns are what --where speaks of.")
    if options.dry_run:
        _tell(verb, _foreseen(verb, workflows[0].name, options), options)
        return
    from batchflow.engine import Engine

    given = {"reason": options.reason} if options.reason is not None else {}
    chosen: dict[str, Any] = {"run_ids": options.run_ids} if options.run_ids else {}
    with Engine(options.store, workflows[0], workers=0) as engine:
        moved = getattr(engine, verb)(options.where, **chosen, **given)
    _tell(verb, moved, options)


def _foreseen(verb: str, workflow: str, options: HoldOptions) -> Moved:
    """Answer what would be moved, by the rules that the store moves runs by."""
    from batchflow.remote import connect
    from batchflow.store.lifecycle import CANCEL, PAUSE, RESUME, Moved

    rule: Verb = {"pause": PAUSE, "resume": RESUME, "cancel": CANCEL}[verb]
    movable = {state.name for state in rule.sources}
    with connect(options.store) as reader:
        chosen = reader.runs(options.predicate, workflow=workflow)
        states = {
            row["run_state"]: row["runs"]
            for row in rows_of(chosen.aggregate("run_state, count(*) AS runs"))
        }
    moved = sum(runs for state, runs in states.items() if state in movable)
    return Moved(moved, sum(states.values()) - moved)


def _tell(verb: str, moved: Moved, options: HoldOptions) -> None:
    if options.as_json:
        counts = {"moved": moved.moved, "refused": moved.refused}
        write_document({"verb": verb, "dry_run": options.dry_run, **counts})
        return
    would = "would be moved" if options.dry_run else "moved"
    write(f"{verb}: {moved.moved:,} runs {would}, {moved.refused:,} refused for their run state\n")
