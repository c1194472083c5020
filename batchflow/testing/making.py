"""Runs and batches for tests of single steps."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TypedDict, TypeVar, Unpack, cast

import numpy as np
import pyarrow as pa

from batchflow.chunk import Chunk
from batchflow.chunk.chunk import ATTEMPT, CREATED_AT, FOREIGN_ID, SEQ
from batchflow.closest_name import did_you_mean
from batchflow.columns.value_writing import describe, write_values
from batchflow.definition import Workflow
from batchflow.definition.fields import Field, fields_of
from batchflow.definition.step import Step
from batchflow.errors import InvalidObject
from batchflow.short_form import counted
from batchflow.view import Batch, Run
from batchflow.view.context import ChunkContext
from batchflow.worker.resources import OpenedResources

ObjectT = TypeVar("ObjectT")
StatusT = TypeVar("StatusT", bound=enum.Enum)

_RUN_ID = uuid.UUID("00000000-0000-8000-8000-000000000000")
_CREATED_AT = datetime(2000, 1, 1, tzinfo=UTC)


class RunFacts(TypedDict, total=False):
    """The facts of a made run, or of each run of a made batch, besides its object.

    Attributes:
        status: The status of the run. Default: with a workflow, its only starting point.
        run_id: The id of the run; the further runs of a batch have the ids after it.
        attempt: The number of consecutive failures, plus one. Default: 1.
        created_at: The time at which it was triggered. Default: the first day of 2000.
        now: The time of the engine's clock. Default: `created_at`.
        stopping: Whether the engine is stopping. Default: False.
        resources: The resources by name. Default: none.
    """

    status: Any
    run_id: uuid.UUID | str
    attempt: int
    created_at: datetime
    now: datetime
    stopping: bool
    resources: Mapping[str, Any]


def make_run(
    object: ObjectT,
    *,
    workflow: Workflow[ObjectT, Any] | None = None,
    foreign_id: str = "test",
    **facts: Unpack[RunFacts],
) -> Run[ObjectT, Any]:
    """Return a run with an object, to call a row step in a test.

    The step changes ``object`` and returns its answer. `call_step` also checks both.

    Args:
        object: The object.
        workflow: The workflow that the run belongs to. With it, the object's values and the status
            are checked. Default: None.
        foreign_id: The key of the record.
        **facts: The run's other facts; see `RunFacts`.

    Raises:
        InvalidObject: A value doesn't fit its field.
        DefinitionError: The workflow has no such status, or the status has no step.
        TypeError: An option isn't one of `RunFacts`.
    """
    _require_known(facts)
    if workflow is not None:
        require_fit(object, workflow)
    return Run(object, _context({}, workflow, [foreign_id], facts), 0)


def make_batch(
    objects: Sequence[ObjectT],
    *,
    workflow: Workflow[ObjectT, Any] | None = None,
    foreign_ids: Sequence[str] | None = None,
    **facts: Unpack[RunFacts],
) -> Batch[ObjectT, Any]:
    """Return a batch of runs with these objects, to call a batch step in a test.

    What the step assigns is in the batch's columns. `call_step` also checks it, and the answer.

    Args:
        objects: The objects, at least one.
        workflow: The workflow that the runs belong to. With it, the status is checked.
        foreign_ids: The keys of the records. Default: ``test-0``, ``test-1`` and so on.
        **facts: The runs' other facts; see `RunFacts`.

    Raises:
        InvalidObject: A value doesn't fit its field.
        DefinitionError: The workflow has no such status, or the status has no step.
        TypeError: An option isn't one of `RunFacts`.
    """
    _require_known(facts)
    _require_objects(objects, workflow)
    fields = fields_of(type(objects[0])) if workflow is None else workflow.fields
    keys = foreign_ids or [f"test-{number}" for number in range(len(objects))]
    if len(keys) != len(objects):
        raise ValueError(
            f"There are {len(keys)} foreign ids for {counted(len(objects), 'object')}."
        )
    step = None if workflow is None else workflow.steps[_code(workflow, facts.get("status"))]
    columns = read_columns(objects, fields, step)
    return Batch(_context(columns, workflow, keys, facts), fields)


def read_columns(
    objects: Sequence[Any], fields: Sequence[Field], step: Step | None
) -> dict[str, pa.Array]:
    """Return the objects' fields as columns: those that the step reads, or all without a step.

    Raises:
        InvalidObject: A value doesn't fit its field.
    """
    columns = {field.name: _column(objects, field) for field in fields}
    read = None if step is None else step.options.columns
    return {name: column for name, column in columns.items() if read is None or name in read}


def require_fit(instance: Any, workflow: Workflow[Any, Any]) -> None:
    """Check that an object is of the workflow's type, and that its values fit their fields.

    Raises:
        InvalidObject: It isn't, or one doesn't.
    """
    if not isinstance(instance, workflow.object_type):
        raise InvalidObject(
            f"The object is of type {type(instance).__name__}; workflow {workflow.name!r} carries "
            f"objects of {workflow.object_type.__name__}."
        )
    for field in workflow.fields:
        _column([instance], field)


def _require_known(facts: Mapping[str, object]) -> None:
    names = RunFacts.__annotations__
    for name in facts:
        if name not in names:
            hint = did_you_mean(name, names) or f" Give any of {', '.join(names)}."
            raise TypeError(f"A made run has no {name!r}.{hint}")


def _require_objects(objects: Any, workflow: Workflow[Any, Any] | None) -> None:
    if not isinstance(objects, Sequence | np.ndarray) or isinstance(objects, str | bytes):
        raise TypeError(f"make_batch takes a list of objects, not {describe(objects)}.")
    if len(objects) == 0:
        raise ValueError("There are no objects. Give at least one.")
    expected = type(objects[0]) if workflow is None else workflow.object_type
    for row, each in enumerate(objects):
        if not isinstance(each, expected):
            raise InvalidObject(
                f"Object {row} is {describe(each)}. Give only objects of {expected.__name__}."
            )


def _column(objects: Sequence[Any], field: Field) -> pa.Array:
    written = write_values([getattr(each, field.name) for each in objects], field.type)
    for row, found in written.problems.items():
        raise InvalidObject(
            f"Object {row} has {found} in field {field.name!r}; it takes {field.type}."
        )
    return written.array


def _context(
    columns: Mapping[str, pa.Array],
    workflow: Workflow[Any, Any] | None,
    foreign_ids: Sequence[str],
    facts: RunFacts,
) -> ChunkContext:
    rows = len(foreign_ids)
    created_at = facts.get("created_at", _CREATED_AT)
    run_id = facts.get("run_id", _RUN_ID)
    status = facts.get("status")
    code = 0 if workflow is None else _code(workflow, status)
    engine = {
        SEQ: pa.array(range(rows), pa.int64()),
        ATTEMPT: pa.array([facts.get("attempt", 1)] * rows, pa.int32()),
        FOREIGN_ID: pa.array(foreign_ids, pa.string()),
        CREATED_AT: pa.array([created_at] * rows, pa.timestamp("us", "UTC")),
    }
    chunk = Chunk(
        chunk_id=0,
        workflow="" if workflow is None else workflow.name,
        from_code=code,
        rows=pa.table({**engine, **columns}),
        run_id_base=uuid.UUID(str(run_id)).int,
        now=facts.get("now", created_at),
    )
    member = status if workflow is None else workflow.statuses[code]
    resources = MappingProxyType(OpenedResources(facts.get("resources") or {}))
    stopping = facts.get("stopping", False)
    return ChunkContext(chunk, cast(enum.Enum, member), resources, lambda: stopping)


def _code(workflow: Workflow[Any, Any], status: Any) -> int:
    workflow.check()
    if status is None and len(workflow.starting_codes) == 1:
        return next(iter(workflow.starting_codes))
    code = workflow.code_of(status)
    if code not in workflow.steps:
        names = ", ".join(workflow.status_names[each] for each in workflow.steps)
        raise ValueError(f"No step takes the runs at {status.name}; the steps take {names}.")
    return code
