"""From what a user says about a step to the step, or to what is wrong with it."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from batchflow.definition.fields import ENGINE_COLUMNS, Field
from batchflow.definition.options import merged, step_problems, usable
from batchflow.definition.status_set import StatusSet, described
from batchflow.definition.step import (
    Step,
    StepKind,
    StepOptions,
    is_async_function,
    is_generator_function,
    name_of_function,
)


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """Hold what a user said about one step, right or wrong.

    Attributes:
        kind: which of the workflow's methods said it.
        from_status: the status that it stands on.
        to: the statuses that it may answer with; see `listed`.
        function: the step's function; None for a SQL step.
        options: those that were named, by name.
        set_expressions: of a SQL step, what it sets.
        status: of a SQL step, a member, a member's name, an expression, or None.
    """

    kind: StepKind
    from_status: Any
    to: tuple[Any, ...]
    function: Callable[..., Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    set_expressions: Any = None
    status: Any = None

    @property
    def name(self) -> str:
        """Return the step's name."""
        if self.kind is not StepKind.SQL:
            return name_of_function(self.function)
        status = self.from_status
        return f"sql:{status.name if isinstance(status, enum.Enum) else status}"

    @property
    def sets(self) -> dict[str, Any]:
        """Return what a SQL step sets, by field; empty where that is no mapping."""
        return dict(self.set_expressions) if isinstance(self.set_expressions, Mapping) else {}


class StepBuilder:
    """Make the steps of one workflow out of their declarations.

    Args:
        statuses: the workflow's statuses.
        fields: the fields of its object, by name.
        defaults: the options that its steps take from it, usable ones alone.
        built_whole: whether its objects can be built with all of their fields alone.
    """

    def __init__(
        self,
        statuses: StatusSet[Any],
        fields: Mapping[str, Field],
        defaults: Mapping[str, Any],
        *,
        built_whole: bool = False,
    ) -> None:
        self._statuses = statuses
        self._fields = fields
        self._defaults = defaults
        self._built_whole = built_whole

    def build(self, declared: Declaration) -> Step | None:
        """Return the step, made of what is right about its declaration; None without a status."""
        if not self._statuses.has(declared.from_status):
            return None
        to = self._targets(declared)
        constant, expression = self._answer(declared, to)
        return Step(
            kind=declared.kind,
            name=declared.name,
            from_status=declared.from_status,
            from_code=self._statuses.code_of(declared.from_status),
            to=to,
            to_codes=tuple(self._statuses.code_of(status) for status in to),
            function=declared.function,
            options=self._options_in_use(declared),
            set_expressions=declared.sets,
            status_expression=expression,
            constant_status=constant,
        )

    def problems(self, declared: Declaration) -> Iterator[str]:
        """Say in one sentence each what is wrong with a declaration."""
        where = f"{declared.kind.value} {declared.name!r} on {described(declared.from_status)}"
        for problem in self._unplaced_problems(declared):
            yield f"{where}: {problem}"

    def _unplaced_problems(self, declared: Declaration) -> Iterator[str]:
        yield from self._status_problems(declared)
        yield from step_problems(declared.kind, declared.options)
        yield from self._option_problems(declared)
        if declared.kind is StepKind.SQL:
            yield from self._sql_problems(declared)
        else:
            yield from _function_problems(declared)

    def _status_problems(self, declared: Declaration) -> Iterator[str]:
        expected = f"give a member of {self._statuses.type.__name__}"
        if not self._statuses.has(declared.from_status):
            yield f"it stands on {described(declared.from_status)}, which is no status; {expected}"
        if not declared.to:
            yield "its 'to' is empty; name the statuses that it may answer with"
        for target in declared.to:
            if not self._statuses.has(target):
                yield f"its destination {described(target)} is no status; {expected}"

    def _option_problems(self, declared: Declaration) -> Iterator[str]:
        options = self._options(declared)
        for name in options.columns or ():
            if name not in self._fields:
                yield f"its column {name!r} is no field; there are {', '.join(self._fields)}"
        if options.retry.contradiction:
            yield options.retry.contradiction

    def _sql_problems(self, declared: Declaration) -> Iterator[str]:
        if not isinstance(declared.set_expressions, Mapping | None):
            yield f"its 'set' is {declared.set_expressions!r}; give a dict from fields to SQL"
        for name, expression in declared.sets.items():
            if name not in self._fields:
                yield f"it sets {name!r}, which is no field; there are {', '.join(self._fields)}"
            if not isinstance(expression, str) or not expression.strip():
                yield f"it sets {name!r} to {expression!r}; give an SQL expression as text"
        yield from self._answer_problems(declared)

    def _answer_problems(self, declared: Declaration) -> Iterator[str]:
        to = self._targets(declared)
        allowed = ", ".join(status.name for status in to)
        constant, expression = self._answer(declared, to)
        if constant is not None and constant not in to:
            yield f"its status {described(constant)} isn't declared in 'to'; there are {allowed}"
        if constant is None and not self._is_expression(expression):
            yield f"its status is {declared.status!r}; give one of {allowed}, or an SQL expression"

    def _is_expression(self, text: str | None) -> bool:
        """Tell a possible expression from a status's name that is misspelled."""
        columns = {*ENGINE_COLUMNS, *(field.column.lower() for field in self._fields.values())}
        text = (text or "").strip()
        return bool(text) and (not text.isidentifier() or text.lower() in columns)

    def _answer(
        self, declared: Declaration, to: tuple[enum.Enum, ...]
    ) -> tuple[enum.Enum | None, str | None]:
        """Return the constant status and the status expression of a SQL step, one of them None."""
        status = declared.status
        if self._statuses.has(status):
            return status, None
        if isinstance(status, str) and self._statuses.has_name(status):
            return self._statuses.members[self._statuses.code_of(status)], None
        if isinstance(status, str):
            return None, status
        is_obvious = declared.kind is StepKind.SQL and status is None and len(to) == 1
        return (to[0] if is_obvious else None), None

    def _targets(self, declared: Declaration) -> tuple[enum.Enum, ...]:
        targets = (target for target in declared.to if self._statuses.has(target))
        # By their names, as an enum may say itself what equals what, and what can be a key.
        return tuple({target.name: target for target in targets}.values())

    def _options_in_use(self, declared: Declaration) -> StepOptions:
        options = self._options(declared)
        if declared.kind is StepKind.ROW and self._built_whole:
            return replace(options, columns=None)
        return options

    def _options(self, declared: Declaration) -> StepOptions:
        known = usable(declared.options)
        names = StepOptions.__dataclass_fields__
        return merged(self._defaults, {name: known[name] for name in known if name in names})


def listed(to: Any) -> tuple[Any, ...]:
    """Return the statuses that were given, one or several, as a tuple."""
    # A member may itself be iterable, where the statuses are strings as well.
    if isinstance(to, enum.Enum | str) or not isinstance(to, Iterable):
        return (to,)
    return tuple(to)


def _function_problems(declared: Declaration) -> Iterator[str]:
    if not callable(declared.function):
        yield f"its function is {declared.function!r}; give one that can be called"
        return
    if not _takes_one_argument(declared.function):
        yield "it can't be called with one argument; let it take the run, or the batch, alone"
    if is_generator_function(declared.function):
        yield "it has a 'yield'; answer with 'return'"
    is_async = is_async_function(declared.function)
    if is_async and declared.kind is StepKind.BATCH:
        yield "it is async, which only row steps can be; make it a plain function"
    if is_async and "threads" in declared.options:
        yield "it is async and names 'threads'; an async step has 'concurrency' instead"
    if declared.kind is StepKind.ROW and not is_async and "concurrency" in declared.options:
        yield "it names 'concurrency', but isn't async; write 'async def', or use 'threads'"


def _takes_one_argument(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:
        # Some that are written in C don't tell what they take.
        return True
    return True
