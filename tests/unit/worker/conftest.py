from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from step_harness import Done, Execute, Item, Status, make_chunk

from batchflow.definition import Workflow
from batchflow.worker.control import NullControl
from batchflow.worker.execution import Execution


@pytest.fixture
def execute() -> Iterator[Execute]:
    """Execute a step function over objects, as one chunk, and close what it opened."""
    executions: list[Execution] = []

    def run(
        function: Callable[..., Any],
        objects: Sequence[Any],
        *,
        batch: bool = False,
        control: Any = None,
        facts: dict[str, Any] | None = None,
        resources: dict[str, Any] | None = None,
        **options: Any,
    ) -> Done:
        object_type = type(objects[0]) if objects else Item
        workflow = Workflow("things", object_type, Status, resources=resources)
        workflow.add_step(Status.NEW, function, Status.DONE, Status.BAD, batch=batch, **options)
        workflow.check()
        execution = Execution({"things": workflow}, control or NullControl())
        executions.append(execution)
        return Done(execution.execute(make_chunk(objects, object_type, **(facts or {}))))

    yield run
    for execution in executions:
        execution.close()
