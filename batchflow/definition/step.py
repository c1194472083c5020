"""A step, which moves runs from one status to the next, and its options."""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, assert_never

from batchflow.definition.retry import Retry

CONCURRENCY: Final = 64
"""The default number of runs of an async row step that a worker executes at once."""

CommitPoint: TypeAlias = Literal["before", "after"]
"""The side of a step on which a visit commits."""


class StepKind(enum.Enum):
    """The kind of a step, by what its function receives. The value is its name in messages."""

    ROW = "step"
    """The function receives one run at a time, in a worker."""
    BATCH = "batch step"
    """The function receives a chunk's columns, in a worker."""
    SQL = "SQL step"
    """There is no function. The store evaluates the step's expressions."""

    @property
    def in_store(self) -> bool:
        """Return whether the store executes the step, without a worker."""
        match self:
            case StepKind.ROW | StepKind.BATCH:
                return False
            case StepKind.SQL:
                return True
            case _:
                assert_never(self)

    @property
    def calls_each_run(self) -> bool:
        """Return whether the function is called for each run, rather than for several at once."""
        match self:
            case StepKind.ROW:
                return True
            case StepKind.BATCH | StepKind.SQL:
                return False
            case _:
                assert_never(self)


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How a step is executed. An option that the step doesn't name is its workflow's.

    Attributes:
        parallel: The maximum number of chunks of the step that are executed at once. Default:
            None, which lets every worker execute one.
        chunk_rows: The maximum number of runs in one chunk. Default: None, which lets the engine
            choose.
        retry: When a failed run is tried again. Default: ``Retry()``.
        columns: The names of the fields that the step reads. Default: None, which reads all of
            them. A row step always reads all of them if the object's class can't be built
            without.
        timeout_seconds: The maximum time of one call in seconds, above 0. Default: None, which is
            no limit.
        concurrency: How many runs of an async row step a worker executes at once. Default: 64.
        threads: How many threads of a worker execute a plain row step. Default: 1.
        commit: ``"before"`` if the step only receives runs whose earlier steps are committed, and
            ``"after"`` if its own effect is committed before the next step of a run. Default:
            None, which lets a run's consecutive steps be committed together.
        side_effects: Whether the step changes something outside of its object, such as charging a
            card. Its effect is then committed before the next step of a run. Default: False.
    """

    parallel: int | None = None
    chunk_rows: int | None = None
    retry: Retry = field(default_factory=Retry)
    columns: tuple[str, ...] | None = None
    timeout_seconds: float | None = None
    concurrency: int = CONCURRENCY
    threads: int = 1
    commit: CommitPoint | None = None
    side_effects: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """A function, or SQL expressions, for the runs at one status.

    Attributes:
        kind: What the function receives.
        name: The function's name; ``sql:`` and the name of the from status for a SQL step.
        from_status, from_code: The status whose runs the step takes.
        to, to_codes: The statuses that the step may return, in the order of declaration.
        function: The user's function; None for a SQL step.
        options: How the step is executed.
        set_expressions: For a SQL step, the SQL expression of each field that it sets, by the
            field's name.
        status_expression: For a SQL step, the SQL expression of the next status's name, if that
            depends on the run.
        constant_status: For a SQL step, the next status, if that is always the same.
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
        """Return whether the function returns a coroutine."""
        return is_async_function(self.function)


def is_async_function(function: object) -> bool:
    """Return whether a call of `function` returns a coroutine."""
    if inspect.iscoroutinefunction(function):
        return True
    return inspect.iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004


def is_generator_function(function: object) -> bool:
    """Return whether a call of `function` returns a generator, which has no answer."""
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def name_of_function(function: object) -> str:
    """Return the name of a function, of a partial's inner function, or of an object's class."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__
