"""A step: what moves a run from one status to the next, and under which options."""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from batchflow.definition.retry import Retry

CONCURRENCY: Final = 64
"""How many runs of an async row step a worker keeps going at once, unless it says otherwise."""


class StepKind(enum.Enum):
    """Name what a step's function is given."""

    ROW = "step"
    """One run at a time, in a worker."""
    BATCH = "batch_step"
    """A chunk's columns, in a worker."""
    SQL = "sql_step"
    """It has no function: its expressions are evaluated in the store."""


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """Say how a step is executed; each option is the step's own, or else its workflow's.

    Attributes:
        parallel: most chunks of the step at once; None lets every worker have one.
        chunk_rows: most runs in one chunk; None lets the engine choose.
        retry: what becomes of a run that fails.
        columns: the fields that are read, by name; None reads all of them, as it is for a row step
            whose object's class needs them all to be built.
        timeout_seconds: the longest that one call may take; None lets it take its time.
        concurrency: how many runs of an async row step go on at once in a worker.
        threads: how many threads of a worker execute a plain row step.
    """

    parallel: int | None = None
    chunk_rows: int | None = None
    retry: Retry = field(default_factory=Retry)
    columns: tuple[str, ...] | None = None
    timeout_seconds: float | None = None
    concurrency: int = CONCURRENCY
    threads: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """Bind a function, or SQL expressions, to the one status that it stands on.

    Attributes:
        kind: what its function is given.
        name: its function's name; ``sql:`` and its from status of a SQL step.
        from_status, from_code: the status whose runs it takes.
        to, to_codes: the statuses that it may answer with, in the order of declaration.
        function: the user's; None for a SQL step.
        options: how it is executed.
        set_expressions: of a SQL step, the SQL expression for each field that it sets, by the
            field's name.
        status_expression: of a SQL step, the SQL expression that yields a status's name, unless
            it always answers with the same.
        constant_status: of a SQL step, the status that it always answers with.
    """

    kind: StepKind
    name: str
    from_status: enum.Enum
    from_code: int
    to: tuple[enum.Enum, ...]
    to_codes: tuple[int, ...]
    function: Callable[..., Any] | None = None
    options: StepOptions = field(default_factory=StepOptions)
    set_expressions: Mapping[str, str] = field(default_factory=dict)
    status_expression: str | None = None
    constant_status: enum.Enum | None = None

    @property
    def is_async(self) -> bool:
        """Tell whether its function gives back a coroutine."""
        return is_async_function(self.function)


def is_async_function(function: object) -> bool:
    """Tell whether a call of it gives back a coroutine."""
    if inspect.iscoroutinefunction(function):
        return True
    return inspect.iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004


def is_generator_function(function: object) -> bool:
    """Tell whether a call of it gives back a generator, of which no answer can be told."""
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def name_of_function(function: object) -> str:
    """Return a function's own name; of a partial the inner one's, of an object its class's."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__
