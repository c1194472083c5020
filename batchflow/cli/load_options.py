"""The options of a load, which ``run`` and ``load`` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from batchflow.cli.output import note, prints_to_stderr

if TYPE_CHECKING:
    from batchflow.operation import LoadReport, Operations
    from batchflow.operation.requests import ConflictChoice, SkipOrError

_OPTIONS = (
    click.option(
        "--foreign-id",
        metavar="COLUMN",
        help="The source's column that has your own key.  [default: foreign_id]",
    ),
    click.option("--at", metavar="STATUS", help="The status where loaded runs begin."),
    click.option(
        "--on-conflict",
        type=click.Choice(["skip", "update", "error"]),
        default="skip",
        show_default=True,
        help="Rows whose foreign id has an unfinished run: skip the rows, update the runs unless a "
        "drain has claimed them, or load nothing and fail.",
    ),
    click.option(
        "--on-invalid",
        type=click.Choice(["error", "skip"]),
        default="error",
        show_default=True,
        help="Rows that don't fit the fields: load nothing and fail, or skip the rows.",
    ),
    click.option(
        "--strict", is_flag=True, help="Fail if the source has columns that are no fields."
    ),
    click.option(
        "--again", is_flag=True, help="Load files even if their content was loaded before."
    ),
    click.option(
        "--once",
        is_flag=True,
        help="Skip rows whose foreign id was ever loaded, also if its run has finished.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How to load a source."""

    foreign_id: str | None
    at: str | None
    on_conflict: ConflictChoice
    on_invalid: SkipOrError
    strict: bool
    again: bool
    once: bool

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> LoadOptions:
        """Take the options of a load out of all options of a command."""
        return cls(**{name: options.pop(name) for name in cls.__annotations__})

    @property
    def any_needs_source(self) -> bool:
        """Whether an option is given that means nothing without a source."""
        return any((self.foreign_id, self.at, self.strict, self.again, self.once))

    def load(self, store: Operations, source: str | list[str], workflow: str | None) -> LoadReport:
        """Load a source into a workflow."""
        # This may start workers, and they inherit the stdout of this moment.
        with prints_to_stderr():
            return store.trigger_many(
                source,
                workflow=workflow,
                foreign_id=self.foreign_id,
                at=self.at,
                on_conflict=self.on_conflict,
                on_invalid=self.on_invalid,
                strict=self.strict,
                again=self.again,
                once=self.once,
            )


def load_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a load to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def warn_of_rows(report: LoadReport) -> None:
    """Write the warnings of a load to stderr, one a line."""
    for warning in report.warnings:
        note(f"Warning: {report.workflow}: {warning}")


def require_source(source: str, name: str) -> None:
    """Raise UsageError if the name of a source is empty, as an unset variable of a shell is."""
    if not source.strip():
        raise click.UsageError(f"{name} is empty. Give the path or glob of files, or SQL.")
