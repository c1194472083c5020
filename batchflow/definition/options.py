"""The options of workflows and steps: their names, their valid values, how they are merged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypedDict, get_args

from batchflow.definition.retry import Retry
from batchflow.definition.step import CommitPoint, StepKind, StepOptions


class StepDefaults(TypedDict, total=False):
    """The options that a step inherits from its workflow if it doesn't name them."""

    parallel: int | None
    chunk_rows: int | None
    retry: Retry | None
    timeout_seconds: float | None


class WorkflowKeywords(StepDefaults, total=False):
    """The options of a workflow."""

    resources: Mapping[str, Callable[[], Any]] | None
    record_transitions: bool
    visits: bool


class StepKeywords(StepDefaults, total=False):
    """The options of a row step or a batch step."""

    columns: Sequence[str] | None
    concurrency: int
    threads: int
    commit: CommitPoint | None
    side_effects: bool


class SqlStepKeywords(TypedDict, total=False):
    """The options of a SQL step."""

    parallel: int | None
    chunk_rows: int | None
    retry: Retry | None
    commit: CommitPoint | None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_duration(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value < math.inf  # type: ignore[operator]


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_commit_point(value: object) -> bool:
    return isinstance(value, str) and value in get_args(CommitPoint)


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _is_resources(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and callable(factory) for name, factory in value.items()
    )


_COUNT: Final = "a whole number, 1 or greater"
_FLAG: Final = "True or False"

_ALLOWED: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "parallel": (_is_count, _COUNT),
    "chunk_rows": (_is_count, _COUNT),
    "retry": (lambda value: isinstance(value, Retry), "a batchflow.Retry"),
    "timeout_seconds": (_is_duration, "a number of seconds above 0"),
    "columns": (_is_list_of_names, "a list of field names"),
    "concurrency": (_is_count, _COUNT),
    "threads": (_is_count, _COUNT),
    "resources": (_is_resources, "a dict from names to functions without parameters"),
    "commit": (_is_commit_point, "'before' or 'after'"),
    "side_effects": (_is_flag, _FLAG),
    "record_transitions": (_is_flag, _FLAG),
    "visits": (_is_flag, _FLAG),
}

_NEVER_NONE: Final = frozenset(
    {"concurrency", "threads", "side_effects", "record_transitions", "visits"}
)

_OF_WORKFLOW: Final = frozenset(WorkflowKeywords.__annotations__)

_OF_STEP: Final[Mapping[StepKind, frozenset[str]]] = {
    StepKind.ROW: frozenset(StepKeywords.__annotations__),
    StepKind.BATCH: frozenset(StepKeywords.__annotations__) - {"concurrency", "threads"},
    StepKind.SQL: frozenset(SqlStepKeywords.__annotations__),
}


def workflow_problems(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each problem of a workflow's options."""
    yield from map(capitalized, _problems(given, _OF_WORKFLOW, "a workflow"))


def step_problems(kind: StepKind, given: Mapping[str, Any]) -> Iterator[str]:
    """Yield each problem of a step's options, to be put behind the step's name."""
    yield from _problems(given, _OF_STEP[kind], f"a {kind.value}")


def _problems(given: Mapping[str, Any], known: frozenset[str], owner: str) -> Iterator[str]:
    for name, value in given.items():
        if name not in known:
            yield f"{owner} has no option {name!r}. The options are {', '.join(sorted(known))}."
        elif not _is_allowed(name, value):
            expected = _ALLOWED[name][1] + ("" if name in _NEVER_NONE else ", or None")
            yield f"option {name!r} is {value!r}. Give {expected}."


def _is_allowed(name: str, value: object) -> bool:
    if value is None:
        return name not in _NEVER_NONE
    return _ALLOWED[name][0](value)


def capitalized(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def usable(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known options with valid values, with which the other checks continue."""
    return {
        name: value
        for name, value in given.items()
        if name in _ALLOWED and _is_allowed(name, value)
    }


def merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> StepOptions:
    """Return a step's options: those that it names, and its workflow's for the others.

    An option that is given as None overrides the workflow's. The parts of a `Retry` are merged one
    by one.

    Args:
        defaults: The workflow's valid options.
        given: The step's valid options.
    """
    retry = (given.get("retry") or Retry()).merged_over(defaults.get("retry") or Retry())
    inherited = {name: defaults[name] for name in StepDefaults.__annotations__ if name in defaults}
    options = {**inherited, **given, "retry": retry}
    if options.get("columns") is not None:
        options["columns"] = tuple(dict.fromkeys(options["columns"]))
    return StepOptions(**options)
