"""Build a step from its declaration, or find what is wrong with it."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from batchflow.definition.fields import ENGINE_COLUMNS, Field
from batchflow.definition.options import capitalized, merged, step_problems, usable
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
    """The arguments with which the user declared a step, valid or not.

    Attributes:
        kind: The method of the workflow that was called.
        from_status: The status whose runs the step takes.
        to: The statuses that the step may return; see `listed`.
        function: The step's function; None for a SQL step.
        options: The given options, by name.
        set_expressions: For a SQL step, the fields to set and their expressions.
        status: For a SQL step, a status, its name, an expression, or None.
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
        match self.kind:
            case StepKind.ROW | StepKind.BATCH:
                return name_of_function(self.function)
            case StepKind.SQL:
                status = self.from_status
                return f"sql:{status.name if isinstance(status, enum.Enum) else status}"
            case _:
                assert_never(self.kind)

    @property
    def sets(self) -> dict[str, Any]:
        """Return the expressions that a SQL step sets, by field; empty if they are no mapping."""
        return dict(self.set_expressions) if isinstance(self.set_expressions, Mapping) else {}


class StepBuilder:
    """Builds the steps of one workflow from their declarations.

    Args:
        statuses: The workflow's statuses.
        fields: The fields of its object, by name.
        defaults: The valid options of the workflow, which its steps inherit.
        built_whole: Whether its objects can only be created with all of their fields.
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
        """Return a step of the valid parts of a declaration; None if it has no valid status."""
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
        """Yield a sentence for each problem of a declaration."""
        step = f"{declared.kind.value} {declared.name!r} on {described(declared.from_status)}"
        for problem in self._step_problems(declared):
            yield f"{capitalized(step)}: {problem}"

    def _step_problems(self, declared: Declaration) -> Iterator[str]:
        yield from self._status_problems(declared)
        yield from step_problems(declared.kind, declared.options)
        yield from self._option_problems(declared)
        match declared.kind:
            case StepKind.ROW | StepKind.BATCH:
                yield from _function_problems(declared)
            case StepKind.SQL:
                yield from self._sql_problems(declared)
            case _:
                assert_never(declared.kind)

    def _status_problems(self, declared: Declaration) -> Iterator[str]:
        expected = f"Give a member of {self._statuses.type.__name__}."
        if not self._statuses.has(declared.from_status):
            yield f"{described(declared.from_status)} is not a status. {expected}"
        if not declared.to:
            yield "'to' is empty. Name the statuses that the step may return."
        for target in declared.to:
            if not self._statuses.has(target):
                yield f"{described(target)} in 'to' is not a status. {expected}"

    @property
    def _field_names(self) -> str:
        return f"The fields are {', '.join(self._fields)}."

    def _option_problems(self, declared: Declaration) -> Iterator[str]:
        options = self._options(declared)
        for name in options.columns or ():
            if name not in self._fields:
                yield f"column {name!r} is not a field. {self._field_names}"
        if options.retry.contradiction:
            yield options.retry.contradiction

    def _sql_problems(self, declared: Declaration) -> Iterator[str]:
        if not isinstance(declared.set_expressions, Mapping | None):
            yield f"'set' is {declared.set_expressions!r}. Give a dict from field names to SQL."
        for name, expression in declared.sets.items():
            if name not in self._fields:
                yield f"'set' has {name!r}, which is not a field. {self._field_names}"
            if not isinstance(expression, str) or not expression.strip():
                yield f"'set' has {expression!r} for {name!r}. Give a SQL expression as a text."
        yield from self._answer_problems(declared)

    def _answer_problems(self, declared: Declaration) -> Iterator[str]:
        to = self._targets(declared)
        allowed = ", ".join(status.name for status in to)
        constant, expression = self._answer(declared, to)
        if constant is not None and constant not in to:
            yield f"'status' is {described(constant)}, which isn't in 'to'. Give one of {allowed}."
        if constant is None and not self._is_expression(expression):
            yield f"'status' is {declared.status!r}. Give one of {allowed}, or a SQL expression."

    def _is_expression(self, text: str | None) -> bool:
        """Return whether the text may be an expression, rather than a misspelled status."""
        columns = {*ENGINE_COLUMNS, *(field.column.lower() for field in self._fields.values())}
        text = (text or "").strip()
        return bool(text) and (not text.isidentifier() or text.lower() in columns)

    def _answer(
        self, declared: Declaration, to: tuple[enum.Enum, ...]
    ) -> tuple[enum.Enum | None, str | None]:
        """Return the constant status and the status expression of a SQL step; one is None."""
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
        # By their names, because an enum may define its own ``__eq__`` and ``__hash__``.
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
    """Return one or several statuses as a tuple."""
    # A member may itself be iterable, if the statuses are strings too.
    if isinstance(to, enum.Enum | str) or not isinstance(to, Iterable):
        return (to,)
    return tuple(to)


def _function_problems(declared: Declaration) -> Iterator[str]:
    if not callable(declared.function):
        yield f"the function is {declared.function!r}. Give a callable."
        return
    if not _takes_one_argument(declared.function):
        yield "the function can't be called with one argument. It receives the run, or the batch."
    if is_generator_function(declared.function):
        yield "the function has a 'yield'. Use 'return' instead."
    is_async = is_async_function(declared.function)
    if is_async and declared.kind is StepKind.BATCH:
        yield "the function is async, but only row steps can be. Make it a plain function."
    if is_async and "threads" in declared.options:
        yield "the function is async, so 'threads' has no effect. Use 'concurrency' instead."
    if declared.kind is StepKind.ROW and not is_async and "concurrency" in declared.options:
        yield "the function isn't async, so 'concurrency' has no effect. Use 'threads' instead."


def _takes_one_argument(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:
        # Some functions that are written in C have no signature.
        return True
    return True
