"""Options of operations as callers give them, checked once."""

from __future__ import annotations

import enum
import math
import operator
import os
import threading
from collections.abc import Iterable, Mapping, Sized
from datetime import UTC, datetime, timedelta
from numbers import Real
from typing import Any, SupportsIndex
from uuid import UUID

from batchflow.definition.reason import checked_reason
from batchflow.definition.workflow import Workflow
from batchflow.errors import InvalidOptionError, RunNotFoundError


def workflow_name(workflow: object) -> str | None:
    """Return the name of a workflow that is given as itself, as its name, or not at all."""
    name = workflow.name if isinstance(workflow, Workflow) else workflow
    if name is not None and not isinstance(name, str):
        raise InvalidOptionError(
            f"workflow is of type {type(workflow).__name__}; give a workflow or its name.",
            option="workflow",
        )
    return name


def require_status(status: object) -> None:
    """Require a status as a member, as its name, or none at all."""
    if status is not None and not isinstance(status, enum.Enum | str):
        raise InvalidOptionError(
            f"at is of type {type(status).__name__}; give a status or its name.", option="at"
        )


def foreign_id_text(foreign_id: object) -> Any:
    """Return a foreign id as text if it is an integer, also one of NumPy's."""
    number = _integer(foreign_id)
    return foreign_id if number is None else str(number)


def reason_text(reason: object) -> str:
    """Return a reason as text that can be stored."""
    try:
        return checked_reason(reason)
    except TypeError:
        raise InvalidOptionError(
            f"reason is of type {type(reason).__name__}; give a text.", option="reason"
        ) from None


def require_column_name(name: object, option: str) -> None:
    """Raise InvalidOptionError unless an option is the name of a column, or None."""
    if name is not None and not isinstance(name, str):
        raise InvalidOptionError(f"{option} is {name!r}; give a column's name.", option=option)


def require_name(value: object, option: str) -> None:
    """Raise InvalidOptionError unless an option is a text that isn't empty."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidOptionError(f"{option} is {value!r}; give a name.", option=option)


def require_text(value: object, option: str) -> None:
    """Raise InvalidOptionError unless an option is a text; the message doesn't show it."""
    if not isinstance(value, str):
        raise InvalidOptionError(
            f"{option} is of type {type(value).__name__}; give a text.", option=option
        )


def require_mapping(value: object, option: str) -> None:
    """Raise InvalidOptionError unless an option is a mapping by names, or None."""
    named = isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
    if value is not None and not named:
        raise InvalidOptionError(
            f'{option} is of type {type(value).__name__}; give a dict, like {{"anon": True}}.',
            option=option,
        )


def require_flag(value: object, option: str) -> None:
    """Raise InvalidOptionError unless an option is True or False."""
    if not isinstance(value, bool):
        raise InvalidOptionError(f"{option} is {value!r}; give True or False.", option=option)


def require_flag_or_none(value: object, option: str) -> None:
    """Raise InvalidOptionError unless an option is True, False or None."""
    if value is not None and not isinstance(value, bool):
        raise InvalidOptionError(f"{option} is {value!r}; give True, False or None.", option=option)


def require_count(value: object, option: str, *, least: int) -> None:
    """Raise InvalidOptionError unless an option is a whole number, and not too small."""
    if not is_count(value, least):
        raise InvalidOptionError(
            f"{option} is {value!r}; give a whole number from {least}.", option=option
        )


def is_count(value: object, least: int = 0) -> bool:
    """Return whether a value is a whole number, and not too small."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def require_seconds(value: object, option: str) -> None:
    """Raise InvalidOptionError unless an option is a number of seconds, of 0 or more."""
    if not is_seconds(value):
        raise InvalidOptionError(
            f"{option} is {value!r}; give a number of seconds, 0 or more.", option=option
        )


def is_seconds(value: object) -> bool:
    """Return whether a value is a number of seconds, of 0 or more."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def whole_number(given: object, option: str) -> int:
    """Return a whole number, also one of NumPy's."""
    number = _integer(given)
    if number is None:
        raise InvalidOptionError(f"{option} is {given!r}; give a whole number.", option=option)
    return number


def _integer(given: object) -> int | None:
    if isinstance(given, bool) or not isinstance(given, SupportsIndex):
        return None
    try:
        return operator.index(given)
    except TypeError:
        # Classes of integers have the method, too, and so do arrays of several.
        return None


def seconds_or_none(given: Any, option: str) -> float | None:
    """Return seconds, at most as many as a thread can wait; or None."""
    if given is None:
        return None
    is_number = isinstance(given, Real) and not isinstance(given, bool)
    if not is_number or math.isnan(given):
        raise InvalidOptionError(f"{option} is {given!r}; give a number of seconds.", option=option)
    return float(max(0, min(given, threading.TIMEOUT_MAX)))


def path_text(given: object, option: str, expected: str = "a path") -> str:
    """Return a path as text."""
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidOptionError(f"{option} is {given!r}; give {expected}.", option=option)
    return text


def names_of(given: object, option: str) -> tuple[str, ...]:
    """Return the names of columns, of which one may be given as itself."""
    names = (given,) if isinstance(given, str) else given
    if isinstance(names, Iterable) and not isinstance(names, bytes | Mapping):
        found = tuple(names)
        if all(isinstance(name, str) for name in found):
            return found
    raise InvalidOptionError(
        f"{option} is {given!r}; give the name of a column, or a list of several.", option=option
    )


def require_choice(value: object, allowed: tuple[str, ...], option: str) -> None:
    """Raise InvalidOptionError unless an option has one of the allowed values."""
    if value not in allowed:
        names = " or ".join(f'"{each}"' for each in allowed)
        raise InvalidOptionError(f"{option} is {value!r}; give {names}.", option=option)


def run_ids_of(run_ids: object) -> tuple[UUID, ...] | None:
    """Return run ids that are given as UUIDs or as their text, each once; None for none given."""
    if run_ids is None:
        return None
    if isinstance(run_ids, str) or not isinstance(run_ids, Iterable):
        raise InvalidOptionError(
            f"run_ids is of type {type(run_ids).__name__}; give a list of run ids.",
            option="run_ids",
        )
    return tuple(dict.fromkeys(run_id_of(run_id) for run_id in run_ids))


def run_id_of(given: object) -> UUID:
    """Return a run id that is given as a UUID or as its text, as JSON and shells have it.

    Raises:
        RunNotFoundError: It is no run id.
    """
    if isinstance(given, UUID):
        return given
    try:
        return UUID(given)  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError):
        raise RunNotFoundError(
            f"{given!r} is no run id; give a UUID, as trigger() returns it."
        ) from None


def run_id_or_none(given: object) -> UUID | None:
    """Return a run id as `run_id_of` does; None for anything else, such as a foreign id."""
    try:
        return run_id_of(given)
    except RunNotFoundError:
        return None


def require_one_choice_of_runs(where: object, run_ids: object) -> None:
    """Raise InvalidOptionError unless runs are chosen in exactly one way."""
    if (where is None) == (run_ids is None):
        raise InvalidOptionError(
            'Choose runs with exactly one of where= and run_ids=; where="true" chooses all.',
            option="where",
        )


def require_predicate(where: object, params: Sized = ()) -> None:
    """Raise InvalidOptionError unless a predicate is SQL text, or missing without parameters."""
    if where is None and params:
        raise InvalidOptionError("params are given without a predicate.", option="params")
    if where is not None and not isinstance(where, str):
        raise InvalidOptionError(
            f"where is of type {type(where).__name__}; give an SQL predicate over the columns of "
            "runs.",
            option="where",
        )


def aware_moment(moment: object, option: str) -> timedelta | datetime:
    """Return a moment with a time zone, or a duration that is not negative.

    A moment without a time zone is in this process's local time.
    """
    if isinstance(moment, datetime):
        return aware_datetime(moment, option)
    if isinstance(moment, timedelta) and moment >= timedelta(0):
        return moment
    raise InvalidOptionError(
        f"{option} is {moment!r}; give a datetime, or a timedelta of 0 or more that is counted "
        "back from now, like timedelta(days=30).",
        option=option,
    )


def aware_datetime(moment: datetime, option: str) -> datetime:
    """Return a moment with a time zone, which without one is in this process's local time."""
    try:
        aware = moment.astimezone() if moment.tzinfo is None else moment
        aware.astimezone(UTC)
    except (OverflowError, ValueError):
        raise InvalidOptionError(
            f"{option} is {moment!r}, which isn't in the years 1 to 9999 of UTC; give another.",
            option=option,
        ) from None
    return aware


def moment_or_none(moment: object, option: str) -> datetime | None:
    """Return a moment with a time zone, of which a duration is counted back from now; or None."""
    found = None if moment is None else aware_moment(moment, option)
    return (
        moment_before(datetime.now(UTC), found, option) if isinstance(found, timedelta) else found
    )


def moment_before(now: datetime, age: timedelta, option: str) -> datetime:
    """Return the moment so long ago."""
    try:
        return now - age
    except OverflowError:
        raise InvalidOptionError(
            f"{option} is {age!r}, which leads to a moment before the year 1; give less.",
            option=option,
        ) from None
