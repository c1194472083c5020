"""A workflow: the definition of which step moves a run from which status to which."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, Unpack

from batchflow.definition.added_sql_step import AddedSqlStep
from batchflow.definition.built_whole import is_built_whole
from batchflow.definition.declaration import Declaration, StepBuilder, listed
from batchflow.definition.fields import Field, fields_of
from batchflow.definition.graph import StatusGraph
from batchflow.definition.mermaid import diagram
from batchflow.definition.options import (
    SqlStepKeywords,
    StepKeywords,
    WorkflowKeywords,
    usable,
    workflow_problems,
)
from batchflow.definition.status_set import StatusSet, StatusT, described
from batchflow.definition.statuses_given import with_statuses
from batchflow.definition.step import Step, StepKind
from batchflow.definition.visit import VisitMoves
from batchflow.errors import DefinitionError, InvalidOptionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ObjectT = TypeVar("ObjectT")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

MAX_NAME_CHARACTERS: Final = 120

RESERVED_NAMES: Final = frozenset(
    {"batchflow", "main", "temp", "pg_catalog", "information_schema", "system"}
)
"""Names that the store uses itself, so a workflow's schema can't have them."""


class Workflow(Generic[ObjectT, StatusT]):
    """The data that runs carry, the statuses they can have, and the steps between these.

    Add steps with `step`, `batch_step`, `sql_step` and `add_step`. A status is a starting point if
    it has a step and no other status leads to it. A status without a step is terminal. The workflow
    is checked when an engine first opens it, and can't be changed afterwards.

    Args:
        name: The name of the workflow and of its schema in the store: 1 to 120 printable
            characters.
        object_type: The dataclass of a run's data. Each field becomes a typed column.
        status_type: The `enum.Enum` of the statuses, in the order of its members.
        **options: All are optional.

            ``parallel``, ``chunk_rows``, ``retry`` and ``timeout_seconds`` are the defaults of the
            steps; see `StepOptions`.

            ``resources`` is a dict from names to functions without parameters. A worker calls each
            once, and steps find the result in ``run.resources`` or ``batch.resources``. Default:
            none.

            ``record_transitions`` is whether the store keeps a log of all transitions. Default:
            True.

            ``visits`` is whether a run's consecutive steps may be executed and committed together,
            as one visit. With False, each step is committed by itself. Default: True.

    Attributes:
        fields: The fields of the object, in their order.
        statuses: The members of the status type without aliases. The code of a status is its
            position.
        resources: The functions that open the resources, by name.
        record_transitions: Whether the log of transitions is kept.
        visits: Whether a run's consecutive steps may be committed together.

    Raises:
        DefinitionError: The name, the object type or the status type is invalid. `check` raises it
            for invalid options and steps.
    """

    def __init__(
        self,
        name: str,
        object_type: type[ObjectT],
        status_type: type[StatusT],
        **options: Unpack[WorkflowKeywords],
    ) -> None:
        _require_valid_name(name)
        self._statuses = StatusSet(status_type)
        self.name = name
        self.is_rehearsed = False
        """Whether the runs are only copies of a rehearsal."""
        self.object_type = object_type
        self.status_type = status_type
        self.fields: tuple[Field, ...] = fields_of(object_type)
        self._fields = {field.name: field for field in self.fields}
        known = usable(options)
        self.resources: dict[str, Callable[[], Any]] = dict(known.get("resources") or {})
        self.record_transitions: bool = known.get("record_transitions", True)
        self.visits: bool = known.get("visits", True)
        self._builder = StepBuilder(
            self._statuses, self._fields, known, built_whole=is_built_whole(object_type)
        )
        self._problems = list(workflow_problems(options))
        self._steps: dict[int, Step] = {}
        self._invariants: dict[str, str] = {}
        self._graph: StatusGraph | None = None
        self._visit_moves: VisitMoves | None = None
        self._checked = False

    def __repr__(self) -> str:
        return f"<Workflow {self.name!r}: {len(self._statuses)} statuses, {len(self._steps)} steps>"

    @property
    def title(self) -> str:
        """Return the name in messages of the log, which states whether the runs are copies."""
        return f"{self.name} (copies of a rehearsal)" if self.is_rehearsed else self.name

    @property
    def statuses(self) -> tuple[StatusT, ...]:
        """Return the statuses in the order of their codes."""
        return self._statuses.members

    @property
    def status_names(self) -> tuple[str, ...]:
        """Return the names of the statuses in the order of their codes."""
        return self._statuses.names

    @property
    def steps(self) -> Mapping[int, Step]:
        """Return the steps by the code of their from status."""
        return types.MappingProxyType(self._steps)

    @property
    def graph(self) -> StatusGraph:
        """Return the graph of the steps that have been added."""
        if self._graph is None:
            edges = {code: step.to_codes for code, step in self._steps.items()}
            self._graph = StatusGraph(len(self._statuses), edges)
        return self._graph

    @property
    def starting_codes(self) -> frozenset[int]:
        """Return the codes of the starting points."""
        return self.graph.starting

    @property
    def terminal_codes(self) -> frozenset[int]:
        """Return the codes of the terminal statuses."""
        return self.graph.terminal

    @property
    def rank(self) -> NDArray[np.int64]:
        """Return the rank of each status by code; an edge to a lower rank leads backward."""
        return self.graph.rank

    @property
    def visit_moves(self) -> VisitMoves:
        """Return the moves after which a visit may continue with the next step."""
        if self._visit_moves is None:
            self._visit_moves = VisitMoves.of(self._steps, self.rank)
        return self._visit_moves

    def code_of(self, status: StatusT | str) -> int:
        """Return the code of a status, or of the status with that name.

        Raises:
            DefinitionError: There is no such status.
        """
        return self._statuses.code_of(status)

    def field(self, name: str) -> Field:
        """Return the field with that name.

        Raises:
            DefinitionError: There is no such field.
        """
        if name not in self._fields:
            raise DefinitionError(
                f"{self.object_type.__name__} has no field {name!r}. "
                f"The fields are {', '.join(self._fields)}."
            )
        return self._fields[name]

    @with_statuses("@workflow.step(status, to=next_status)")
    def step(
        self,
        from_status: StatusT,
        *,
        to: StatusT | Iterable[StatusT],
        **options: Unpack[StepKeywords],
    ) -> Callable[[FunctionT], FunctionT]:
        """Return a decorator that adds a row step: its function receives one `Run` at a time.

        The function returns the run's next status, or ``run.skip()``, ``run.repeat()``,
        ``run.pause(reason)`` or ``run.cancel(reason)``. It may be ``async def``. The decorator
        returns the function unchanged.

        Args:
            from_status: The status whose runs the step takes.
            to: The status, or statuses, that the step may return, including `from_status` if it
                may.
            **options: ``parallel``, ``chunk_rows``, ``retry``, ``columns``, ``timeout_seconds``
                (seconds), ``concurrency``, ``threads``, ``commit`` and ``side_effects``.
                `StepOptions` describes them and their defaults. The workflow's options are used
                for those that aren't named.

        Raises:
            DefinitionError: The workflow is already in use. `check` raises it for an invalid
                status, function or option.
        """
        return self._decorator(StepKind.ROW, from_status, to, options)

    @with_statuses("@workflow.batch_step(status, to=next_status)")
    def batch_step(
        self,
        from_status: StatusT,
        *,
        to: StatusT | Iterable[StatusT],
        **options: Unpack[StepKeywords],
    ) -> Callable[[FunctionT], FunctionT]:
        """Return a decorator that adds a batch step: its function receives a `Batch` of runs.

        The function returns one status for all runs, or a column with the status of each run, as
        members, names or codes. A null leaves its run unchanged, like ``batch.skip``.

        Args:
            from_status: The status whose runs the step takes.
            to: The status, or statuses, that the step may return.
            **options: As for `step`, without ``concurrency`` and ``threads``.

        Raises:
            DefinitionError: The workflow is already in use. `check` raises it for an invalid
                status, function or option.
        """
        return self._decorator(StepKind.BATCH, from_status, to, options)

    @with_statuses("workflow.sql_step(status, to=next_status), without a function and")
    def sql_step(
        self,
        from_status: StatusT,
        *,
        to: StatusT | Iterable[StatusT],
        set: Mapping[str, str] | None = None,  # noqa: A002 - SQL's own word for it
        status: StatusT | str | None = None,
        **options: Unpack[SqlStepKeywords],
    ) -> AddedSqlStep:
        """Add a step that the store evaluates, so its runs never leave it. It isn't a decorator.

        Args:
            from_status: The status whose runs the step takes.
            to: The status, or statuses, that the step may lead to.
            set: For each field that changes, the SQL expression of its new value. Expressions
                refer to the run's columns as they were before the step, and to ``$now``, the time
                of the engine's clock. Default: None, which changes no field.
            status: The next status, as a member or its name. Any other text is a SQL expression
                that returns a name. Default: None, which is valid only if `to` has one status.
            **options: ``parallel``, ``chunk_rows``, ``retry`` and ``commit``, as in
                `StepOptions`.

        Raises:
            DefinitionError: The workflow is already in use. `check` raises it for an invalid
                status or option, and an engine for an invalid expression when it opens the
                workflow.
        """
        declared = Declaration(
            kind=StepKind.SQL,
            from_status=from_status,
            to=listed(to),
            options=dict(options),
            set_expressions=set,
            status=status,
        )
        self._add(declared)
        return AddedSqlStep(declared.name)

    def add_step(
        self,
        from_status: StatusT,
        function: Callable[..., Any],
        *to: StatusT,
        batch: bool = False,
        **options: Unpack[StepKeywords],
    ) -> None:
        """Add a step without a decorator, for example in a loop.

        Args:
            from_status: The status whose runs the step takes.
            function: The step's function.
            *to: The statuses that the step may return.
            batch: Whether the function receives a `Batch` rather than one `Run`. Default: False.
            **options: As for `step` or `batch_step`.

        Raises:
            DefinitionError: The workflow is already in use. `check` raises it for an invalid
                status, function or option.
        """
        kind = StepKind.BATCH if batch else StepKind.ROW
        self._decorator(kind, from_status, to, options)(function)

    def invariant(self, name: str, condition: str) -> None:
        """Declare what is always true of a run.

        It is checked over the runs that a commit moves, in its transaction. A commit that would
        break it is rolled back; the runs that would do so fail and are paused, with the invariant
        in their error, and the others are committed. A condition that is NULL is satisfied. `edit`
        refuses to break it; runs that are loaded or put back are checked once a step moves them.

        Args:
            name: What the invariant says, such as "paid orders have a charge".
            condition: An SQL expression over the columns of ``runs``, without a subquery, such as
                ``"status <> 'PAID' OR charge_id IS NOT NULL"``.

        Raises:
            DefinitionError: The workflow is already in use. `check` raises it for a name that
                isn't a text or is given twice, and an engine for an invalid condition when it opens
                the workflow.
        """
        if self._checked:
            raise DefinitionError(
                f"Workflow {self.name!r} is already in use, so the invariant {name!r} can't be "
                "added. Add all invariants before an engine opens the workflow."
            )
        given = ("name", name), ("condition", condition)
        wrong = [f"its {what}" for what, text in given if not _is_text(text)]
        if wrong:
            self._problems.append(
                f"The invariant {name!r} has no text as {' and as '.join(wrong)}. Give one."
            )
        elif name in self._invariants:
            self._problems.append(f"There are two invariants {name!r}. Rename one.")
        else:
            self._invariants[name] = condition

    @property
    def invariants(self) -> Mapping[str, str]:
        """Return the conditions of the invariants by name."""
        return types.MappingProxyType(self._invariants)

    def check(self) -> None:
        """Check that the workflow can be used. It can't be changed afterwards.

        Raises:
            DefinitionError: The workflow is invalid. ``problems`` has a sentence for each problem.
        """
        if self._checked:
            return
        problems = [*self._problems, *self._graph_problems()]
        if problems:
            count = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
            raise DefinitionError(f"Workflow {self.name!r} has {count}:", problems=problems)
        self._checked = True

    def rehearsed(
        self,
        until: int | None,
        stand_ins: Mapping[str, Callable[..., Any]],
        *,
        record_transitions: bool,
    ) -> Workflow[ObjectT, StatusT]:
        """Return a copy for a rehearsal.

        Args:
            until: The code of the status whose runs stay there; None if all steps are executed.
            stand_ins: The functions that are called in place of steps, by the names of the steps.
            record_transitions: Whether the store of the runs has a log of transitions.

        Raises:
            InvalidOptionError: There is no such step, or it has no function.
        """
        self.check()
        names = {step.name for step in self._steps.values() if step.function is not None}
        for name, function in stand_ins.items():
            if name not in names or not callable(function):
                found = "is no step with a function" if name not in names else "is no function"
                known = ", ".join(sorted(names))
                raise InvalidOptionError(
                    f"The stand-in for {name!r} {found}; the steps are: {known}.",
                    option="stand_ins",
                )
        rehearsed = copy(self)
        rehearsed.record_transitions = record_transitions
        rehearsed.is_rehearsed = True
        rehearsed._steps = {
            code: replace(
                step,
                function=stand_ins.get(step.name, step.function),
                # A rehearsal shows what becomes of all runs.
                options=replace(step.options, retry=replace(step.options.retry, breaker=None)),
            )
            for code, step in self._steps.items()
            if code != until
        }
        rehearsed._graph = rehearsed._visit_moves = None
        return rehearsed

    def mermaid(self) -> str:
        """Return the graph as the text of a Mermaid ``stateDiagram-v2``."""
        names = {code: step.name for code, step in self._steps.items()}
        return diagram(self.graph, self.status_names, names)

    def _decorator(
        self, kind: StepKind, from_status: StatusT, to: object, options: Mapping[str, Any]
    ) -> Callable[[FunctionT], FunctionT]:
        # An iterator can be read only once, and the decorator may be used several times.
        targets = listed(to)

        def decorate(function: FunctionT) -> FunctionT:
            declared = Declaration(
                kind=kind,
                from_status=from_status,
                to=targets,
                function=function,
                options=dict(options),
            )
            self._add(declared)
            return function

        return decorate

    def _add(self, declared: Declaration) -> None:
        if self._checked:
            raise DefinitionError(
                f"Workflow {self.name!r} is already in use, so step {declared.name!r} can't be "
                "added. Add all steps before an engine opens the workflow."
            )
        self._problems.extend(self._builder.problems(declared))
        step = self._builder.build(declared)
        if step is not None:
            self._place(step)

    def _place(self, step: Step) -> None:
        first = self._steps.setdefault(step.from_code, step)
        if first is not step:
            self._problems.append(
                f"Steps {first.name!r} and {step.name!r} both take the runs at "
                f"{described(step.from_status)}. Only one step can."
            )
        self._graph = None
        self._visit_moves = None

    def _graph_problems(self) -> Iterator[str]:
        if not self._steps:
            yield "It has no steps. Add at least one."
        elif not self.graph.starting:
            yield (
                "It has no starting point, because a step leads to the status of each step. Add a "
                "step for a status that no other step leads to."
            )
        for step in self._steps.values() if not self.record_transitions else ():
            if step.options.retry.resume_seconds is not None:
                yield (
                    f"Step {step.name!r}: Retry: resume_after needs the log of transitions. Leave "
                    "out record_transitions=False, or resume_after."
                )
        for code in sorted(self.graph.unreachable if self.graph.starting else ()):
            yield (
                f"Step {self._steps[code].name!r} is unreachable, because no starting point leads "
                f"to {described(self._statuses.members[code])}. Add it to the 'to' of a step."
            )


AnyWorkflow: TypeAlias = Workflow[Any, Any]
"""A workflow with any type of object and statuses."""


def _require_valid_name(name: object) -> None:
    expected = f"Give a text of 1 to {MAX_NAME_CHARACTERS} printable characters."
    if not isinstance(name, str) or not name.isprintable() or not name.strip():
        raise DefinitionError(f"The workflow's name is {name!r}. {expected}")
    if len(name) > MAX_NAME_CHARACTERS:
        raise DefinitionError(f"The workflow's name has {len(name)} characters. {expected}")
    if name.lower() in RESERVED_NAMES:
        raise DefinitionError(
            f"The workflow's name is {name!r}, which the store uses itself. "
            f"Give another name than {', '.join(sorted(RESERVED_NAMES))}."
        )


def _is_text(given: object) -> bool:
    return isinstance(given, str) and bool(given.strip())
