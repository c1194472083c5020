"""The options of workflows and steps: which there are, what they may be, how they merge."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypedDict

from batchflow.definition.retry import Retry
from batchflow.definition.step import StepKind, StepOptions


class StepDefaults(TypedDict, total=False):
    """Name the options that a step takes from its workflow where it doesn't name them."""

    parallel: int | None
    chunk_rows: int | None
    retry: Retry | None
    timeout_seconds: float | None


class WorkflowKeywords(StepDefaults, total=False):
    """Name the options of a workflow."""

    resources: Mapping[str, Callable[[], Any]] | None
    record_transitions: bool


class StepKeywords(StepDefaults, total=False):
    """Name the options of a step."""

    columns: Sequence[str] | None
    concurrency: int
    threads: int


class SqlStepKeywords(TypedDict, total=False):
    """Name the options of a step without a function."""

    parallel: int | None
    chunk_rows: int | None
    retry: Retry | None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_duration(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value < math.inf  # type: ignore[operator]


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _is_resources(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and callable(factory) for name, factory in value.items()
    )


_COUNT: Final = "a whole number from 1 up"

_ALLOWED: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "parallel": (_is_count, _COUNT),
    "chunk_rows": (_is_count, _COUNT),
    "retry": (lambda value: isinstance(value, Retry), "a batchflow.Retry"),
    "timeout_seconds": (_is_duration, "a number of seconds above 0"),
    "columns": (_is_list_of_names, "a list of field names"),
    "concurrency": (_is_count, _COUNT),
    "threads": (_is_count, _COUNT),
    "resources": (_is_resources, "a dict from names to functions without parameters"),
    "record_transitions": (lambda value: isinstance(value, bool), "True or False"),
}

_NEVER_NONE: Final = frozenset({"concurrency", "threads", "record_transitions"})

_OF_WORKFLOW: Final = frozenset(WorkflowKeywords.__annotations__)

_OF_STEP: Final[Mapping[StepKind, frozenset[str]]] = {
    StepKind.ROW: frozenset(StepKeywords.__annotations__),
    StepKind.BATCH: frozenset(StepKeywords.__annotations__) - {"concurrency", "threads"},
    StepKind.SQL: frozenset(SqlStepKeywords.__annotations__),
}


def workflow_problems(given: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with the options of a workflow."""
    yield from _problems(given, _OF_WORKFLOW, "a workflow")


def step_problems(kind: StepKind, given: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with the options of a step."""
    yield from _problems(given, _OF_STEP[kind], f"a {kind.value}")


def _problems(given: Mapping[str, Any], known: frozenset[str], owner: str) -> Iterator[str]:
    for name, value in given.items():
        if name not in known:
            yield f"{owner} has no option {name!r}; it has {', '.join(sorted(known))}"
        elif not _is_allowed(name, value):
            expected = _ALLOWED[name][1] + ("" if name in _NEVER_NONE else ", or None")
            yield f"option {name!r} is {value!r}; give {expected}"


def _is_allowed(name: str, value: object) -> bool:
    if value is None:
        return name not in _NEVER_NONE
    return _ALLOWED[name][0](value)


def usable(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are known and allowed, so that the rest of a check can go on."""
    return {
        name: value
        for name, value in given.items()
        if name in _ALLOWED and _is_allowed(name, value)
    }


def merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> StepOptions:
    """Return a step's options: what it names, and for the rest its workflow's.

    An option that is named as None is named: it lifts the workflow's. A `Retry` is merged within
    itself, as each of its parts is an option of its own.

    Args:
        defaults: the workflow's options, usable ones alone.
        given: the step's own, usable ones alone.
    """
    retry = (given.get("retry") or Retry()).merged_over(defaults.get("retry") or Retry())
    inherited = {name: defaults[name] for name in StepDefaults.__annotations__ if name in defaults}
    options = {**inherited, **given, "retry": retry}
    if options.get("columns") is not None:
        options["columns"] = tuple(dict.fromkeys(options["columns"]))
    return StepOptions(**options)
