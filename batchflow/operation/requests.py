"""One frozen request for each operation: its options, and the type of its result."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias
from uuid import UUID

from batchflow.errors import InvalidOptionError
from batchflow.operation import options
from batchflow.operation.json_form import TRAVELS_APART
from batchflow.operation.load_report import LoadReport
from batchflow.operation.parameters import BoundValue
from batchflow.operation.reports import ControlReport, ExportPart, PruneReport
from batchflow.operation.request import Request

SkipOrError: TypeAlias = Literal["skip", "error"]
ConflictChoice: TypeAlias = Literal["skip", "update", "error"]


@dataclass(frozen=True, kw_only=True)
class Trigger(Request[UUID], name="trigger", result=UUID):
    """Start a run of one record."""

    foreign_id: str
    object: Any = field(metadata=TRAVELS_APART)
    at: enum.Enum | str | None = None
    workflow: str | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        options.require_status(self.at)


@dataclass(frozen=True, kw_only=True)
class TriggerMany(Request[LoadReport], name="trigger_many", result=LoadReport):
    """Start a run for each row of a source."""

    source: Any = field(metadata=TRAVELS_APART)
    # They may have secrets, so nothing shows or sends them.
    storage_options: Mapping[str, Any] | None = field(
        default=None, repr=False, metadata=TRAVELS_APART
    )
    foreign_id: str | None = None
    at: enum.Enum | str | None = None
    workflow: str | None = None
    on_conflict: ConflictChoice = "skip"
    on_invalid: SkipOrError = "error"
    strict: bool = False
    again: bool = False
    once: bool = False

    def __post_init__(self) -> None:
        """Check the options."""
        options.require_mapping(self.storage_options, "storage_options")
        options.require_column_name(self.foreign_id, "foreign_id")
        options.require_status(self.at)
        options.require_choice(self.on_conflict, ("skip", "update", "error"), "on_conflict")
        options.require_choice(self.on_invalid, ("skip", "error"), "on_invalid")
        options.require_flag(self.strict, "strict")
        options.require_flag(self.again, "again")
        options.require_flag(self.once, "once")
        if self.once and self.on_conflict == "update":
            raise InvalidOptionError(
                'once skips the rows that on_conflict="update" needs. Give one of the two.',
                option="once",
            )


@dataclass(frozen=True, kw_only=True)
class ControlRuns(Request[ControlReport]):
    """Change the runs that a predicate or a list of run ids chooses, for a reason."""

    where: str | None = None
    params: tuple[BoundValue, ...] = ()
    run_ids: tuple[UUID, ...] | None = None
    reason: str
    workflow: str | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Check the options."""
        options.require_predicate(self.where, self.params)
        self._require_choice_of_runs()
        options.require_flag(self.dry_run, "dry_run")

    def _require_choice_of_runs(self) -> None:
        options.require_one_choice_of_runs(self.where, self.run_ids)


@dataclass(frozen=True, kw_only=True)
class Pause(ControlRuns, name="pause", result=ControlReport):
    """Pause runs."""


@dataclass(frozen=True, kw_only=True)
class Resume(ControlRuns, name="resume", result=ControlReport):
    """Let paused runs continue."""


@dataclass(frozen=True, kw_only=True)
class Cancel(ControlRuns, name="cancel", result=ControlReport):
    """End runs where they are, for good."""


@dataclass(frozen=True, kw_only=True)
class Edit(ControlRuns, name="edit", result=ControlReport):
    """Set fields of runs to SQL expressions."""

    set: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        _require_assignments(self.set)


@dataclass(frozen=True, kw_only=True)
class RetryRuns(ControlRuns, name="retry", result=ControlReport):
    """Put runs back that failed, were stopped or have finished."""

    at: enum.Enum | str | None = None
    cause: str | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        options.require_status(self.at)

    def _require_choice_of_runs(self) -> None:
        if self.cause is None:
            if self.where is None and self.run_ids is None:
                raise InvalidOptionError(
                    "Choose runs with where=, cause= or run_ids=; "
                    "where=\"run_state = 'PAUSED'\" chooses those that are paused.",
                    option="where",
                )
            super()._require_choice_of_runs()
        elif not isinstance(self.cause, str):
            raise InvalidOptionError(
                f"cause is of type {type(self.cause).__name__}; give the text in the column "
                "'cause' of errors().",
                option="cause",
            )
        elif self.run_ids is not None:
            raise InvalidOptionError(
                "Choose runs with only one of cause= and run_ids=.", option="cause"
            )


@dataclass(frozen=True, kw_only=True)
class Prune(Request[PruneReport], name="prune", result=PruneReport):
    """Remove finished runs."""

    finished_before: timedelta | datetime
    where: str | None = None
    params: tuple[BoundValue, ...] = ()
    workflow: str | None = None
    forget: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Check the options."""
        options.require_predicate(self.where, self.params)
        options.require_flag(self.forget, "forget")
        options.require_flag(self.dry_run, "dry_run")


@dataclass(frozen=True, kw_only=True)
class BeginExport(Request[ExportPart], name="begin_export", result=ExportPart):
    """Choose the runs of the next part of a hand-over."""

    since: str
    to: str
    where: str | None = None
    params: tuple[BoundValue, ...] = ()
    workflow: str | None = None
    replace: bool = False

    def __post_init__(self) -> None:
        """Check the options."""
        options.require_predicate(self.where, self.params)
        options.require_name(self.since, "since")
        options.require_name(self.to, "to")
        options.require_flag(self.replace, "replace")


@dataclass(frozen=True, kw_only=True)
class EndExport(Request[bool], name="end_export", result=bool):
    """Record that a part of a hand-over was written."""

    number: int


@dataclass(frozen=True, kw_only=True)
class RequestStop(Request[bool], name="request_stop", result=bool):
    """Ask the drain that is running to stop."""


def _require_assignments(assigned: object) -> None:
    texts = isinstance(assigned, Mapping) and all(
        isinstance(each, str) for pair in assigned.items() for each in pair
    )
    if not assigned or not texts:
        raise InvalidOptionError(
            "set names no field with an SQL expression; give at least one, like "
            'set={"country": "upper(country)"}.',
            option="set",
        )
