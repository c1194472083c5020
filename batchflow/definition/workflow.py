"""A workflow: the immutable definition of which step moves a run from where to where."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, Unpack

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
from batchflow.definition.step import Step, StepKind
from batchflow.errors import DefinitionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ObjectT = TypeVar("ObjectT")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

LONGEST_NAME: Final = 120

RESERVED_NAMES: Final = frozenset(
    {"batchflow", "main", "temp", "pg_catalog", "information_schema", "system"}
)
"""A workflow's name is that of its schema in the store, where these have a meaning already."""


class Workflow(Generic[ObjectT, StatusT]):
    """Say what a run carries, where it can be, and which step takes it from where to where.

    Steps are added by `step`, `batch_step`, `sql_step` and `add_step`. A status with a step, which
    no other status leads to, is a starting point; a status without a step is terminal. The whole
    is checked once, when an engine first opens it, and can't be changed from then on.

    Args:
        name: the workflow's name, and that of its schema in the store.
        object_type: the dataclass of the data on a run; each field becomes a typed column.
        status_type: the `enum.Enum` of the statuses; the order of its members is theirs.
        **options: ``parallel``, ``chunk_rows``, ``retry`` and ``timeout_seconds`` hold for each
            step that doesn't name them; ``resources`` is a dict from names to functions that
            open something once a worker; ``record_transitions=False`` leaves out the log of
            transitions.

    Attributes:
        fields: the fields of the object, in their order.
        statuses: the members of the status type, aliases left out; a status's code is its place.
        resources: the functions that open the resources, by name.
        record_transitions: whether the log of transitions is kept.

    Raises:
        DefinitionError: the name, the object type or the status type can't be used.
    """

    def __init__(
        self,
        name: str,
        object_type: type[ObjectT],
        status_type: type[StatusT],
        **options: Unpack[WorkflowKeywords],
    ) -> None:
        _refuse_name(name)
        self._statuses = StatusSet(status_type)
        self.name = name
        self.object_type = object_type
        self.status_type = status_type
        self.fields: tuple[Field, ...] = fields_of(object_type)
        self._fields = {field.name: field for field in self.fields}
        known = usable(options)
        self.resources: dict[str, Callable[[], Any]] = dict(known.get("resources") or {})
        self.record_transitions: bool = known.get("record_transitions", True)
        self._builder = StepBuilder(
            self._statuses, self._fields, known, built_whole=is_built_whole(object_type)
        )
        self._problems = list(workflow_problems(options))
        self._steps: dict[int, Step] = {}
        self._graph: StatusGraph | None = None
        self._checked = False

    def __repr__(self) -> str:
        return f"<Workflow {self.name!r}: {len(self._statuses)} statuses, {len(self._steps)} steps>"

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
        """Return the steps by the code of the status that they stand on."""
        return types.MappingProxyType(self._steps)

    @property
    def graph(self) -> StatusGraph:
        """Return the graph of the steps that were added so far."""
        if self._graph is None:
            edges = {code: step.to_codes for code, step in self._steps.items()}
            self._graph = StatusGraph(len(self._statuses), edges)
        return self._graph

    @property
    def starting_codes(self) -> frozenset[int]:
        """Return the codes of the statuses where runs begin."""
        return self.graph.starting

    @property
    def terminal_codes(self) -> frozenset[int]:
        """Return the codes of the statuses where runs end."""
        return self.graph.terminal

    @property
    def rank(self) -> NDArray[np.int64]:
        """Return for each status how late it comes, by code; an edge to a lower one leads back."""
        return self.graph.rank

    def code_of(self, status: StatusT | str) -> int:
        """Return the code of a status, or of the status with that name.

        Raises:
            DefinitionError: there is no such status.
        """
        return self._statuses.code_of(status)

    def field(self, name: str) -> Field:
        """Return the field of that name.

        Raises:
            DefinitionError: there is no such field.
        """
        if name not in self._fields:
            raise DefinitionError(
                f"{self.object_type.__name__} has no field {name!r}; "
                f"there are {', '.join(self._fields)}"
            )
        return self._fields[name]

    def step(
        self,
        from_status: StatusT,
        *,
        to: StatusT | Iterable[StatusT],
        **options: Unpack[StepKeywords],
    ) -> Callable[[FunctionT], FunctionT]:
        """Decorate a function that is given one run and answers with its next status.

        It may be ``async def``. The function itself comes back unchanged.

        Args:
            from_status: the status whose runs it takes.
            to: the statuses that it may answer with, its own among them if need be.
            **options: see `StepOptions`; those which aren't named are the workflow's.

        Raises:
            DefinitionError: the workflow is in use. All else is said by `check`.
        """
        return self._decorator(StepKind.ROW, from_status, to, options)

    def batch_step(
        self,
        from_status: StatusT,
        *,
        to: StatusT | Iterable[StatusT],
        **options: Unpack[StepKeywords],
    ) -> Callable[[FunctionT], FunctionT]:
        """Decorate a function that is given a chunk's columns and answers with statuses.

        See `step` for the arguments.
        """
        return self._decorator(StepKind.BATCH, from_status, to, options)

    def sql_step(
        self,
        from_status: StatusT,
        *,
        to: StatusT | Iterable[StatusT],
        set: Mapping[str, str] | None = None,  # noqa: A002 - SQL's own word for it
        status: StatusT | str | None = None,
        **options: Unpack[SqlStepKeywords],
    ) -> None:
        """Add a step that is evaluated in the store; its runs never leave it.

        Args:
            from_status: the status whose runs it takes.
            to: the statuses that it may lead to.
            set: for each field that changes, the SQL expression of its new value. Expressions see
                the run's columns as they were before the step, and ``$now``: the engine's clock.
            status: the status that follows, as a member or its name; any other text is an SQL
                expression that yields a name. May be left out where `to` has one status.
            **options: ``parallel``, ``chunk_rows`` and ``retry``, as in `StepOptions`.

        Raises:
            DefinitionError: the workflow is in use. All else is said by `check`.
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

    def add_step(
        self,
        from_status: StatusT,
        function: Callable[..., Any],
        *to: StatusT,
        batch: bool = False,
        **options: Unpack[StepKeywords],
    ) -> None:
        """Add a step by a call rather than a decorator, for workflows built in a loop.

        Args:
            from_status: the status whose runs it takes.
            function: the step's function.
            *to: the statuses that it may answer with.
            batch: whether the function is given a chunk's columns rather than one run.
            **options: see `StepOptions`; those which aren't named are the workflow's.

        Raises:
            DefinitionError: the workflow is in use. All else is said by `check`.
        """
        kind = StepKind.BATCH if batch else StepKind.ROW
        self._decorator(kind, from_status, to, options)(function)

    def check(self) -> None:
        """Make sure that the workflow can be used; from then on it can't be changed.

        Raises:
            DefinitionError: it can't be; its ``problems`` are all that is wrong, a sentence each.
        """
        if self._checked:
            return
        problems = [*self._problems, *self._graph_problems()]
        if problems:
            count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
            raise DefinitionError(f"workflow {self.name!r} has {count}:", problems=problems)
        self._checked = True

    def mermaid(self) -> str:
        """Return the graph as the text of a Mermaid ``stateDiagram-v2``."""
        names = {code: step.name for code, step in self._steps.items()}
        return diagram(self.graph, self.status_names, names)

    def _decorator(
        self, kind: StepKind, from_status: StatusT, to: object, options: Mapping[str, Any]
    ) -> Callable[[FunctionT], FunctionT]:
        # An iterator can be read but once, and the decorator may be used more often.
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
                f"workflow {self.name!r} is in use already, so step {declared.name!r} can't be "
                "added; add all steps before an engine opens it"
            )
        self._problems.extend(self._builder.problems(declared))
        step = self._builder.build(declared)
        if step is not None:
            self._place(step)

    def _place(self, step: Step) -> None:
        first = self._steps.setdefault(step.from_code, step)
        if first is not step:
            self._problems.append(
                f"steps {first.name!r} and {step.name!r} both stand on "
                f"{described(step.from_status)}; a status has one step"
            )
        self._graph = None

    def _graph_problems(self) -> Iterator[str]:
        if not self._steps:
            yield "it has no steps; add some, so that runs can move"
        elif not self.graph.starting:
            yield (
                "it has no starting point, as each step's status is led to by another; add a step "
                "on a status that no step leads to"
            )
        for code in sorted(self.graph.unreachable if self.graph.starting else ()):
            yield (
                f"step {self._steps[code].name!r} is unreachable, as no way leads from a starting "
                f"point to {described(self._statuses.members[code])}; name it in the 'to' of a step"
            )


AnyWorkflow: TypeAlias = Workflow[Any, Any]
"""A workflow, whatever its object and its statuses."""


def _refuse_name(name: object) -> None:
    expected = f"give a text of 1 to {LONGEST_NAME} printable characters"
    if not isinstance(name, str) or not name.isprintable() or not name.strip():
        raise DefinitionError(f"the workflow's name is {name!r}; {expected}")
    if len(name) > LONGEST_NAME:
        raise DefinitionError(f"the workflow's name has {len(name)} characters; {expected}")
    if name.lower() in RESERVED_NAMES:
        raise DefinitionError(
            f"the workflow's name is {name!r}, which the store needs itself; "
            f"give another than {', '.join(sorted(RESERVED_NAMES))}"
        )
