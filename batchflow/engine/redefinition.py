"""Notice that a notebook has redefined what the steps of an open engine use."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from batchflow.errors import EngineStateError
from batchflow.executor.used_variables import (
    UsedVariable,
    crosses_by_value,
    is_redefined,
    used_variables,
)

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow

_REMEDY = "Run the code that defines the workflow again, then open the engine again."


class Redefinitions:
    """Compare the definitions of workflows with what their names mean now.

    Args:
        workflows: The workflows of an engine that is being opened.
    """

    def __init__(self, workflows: Iterable[AnyWorkflow]) -> None:
        self._steps: list[UsedVariable] = []
        self._classes: list[UsedVariable] = []
        for workflow in workflows:
            functions = [each.function for each in workflow.steps.values() if each.function]
            own = {id(workflow.object_type), id(workflow.status_type)}
            used = (each for one in functions for each in used_variables(one))
            self._classes += [each for each in used if each.namespace and id(each.value) in own]
            self._steps += _named(functions)

    def check(self) -> None:
        """Warn of redefined steps, because the engine executes the former ones.

        Raises:
            EngineStateError: The class of the objects or of the statuses was redefined. The steps
                would use the new one, which the workflow doesn't know.
        """
        classes = _redefined(self._classes)
        if classes:
            raise EngineStateError(
                f"{_listed(classes)} defined again since the engine was opened. Its steps would "
                f"use the new definition, which the workflow doesn't know. {_REMEDY}"
            )
        steps = _redefined(self._steps)
        if steps:
            warnings.warn(
                f"{_listed(steps)} defined again since the engine was opened, which executes the "
                f"former definition. {_REMEDY}",
                stacklevel=4,
            )


def _named(functions: Iterable[Any]) -> Iterator[UsedVariable]:
    """Yield the steps that a script or a notebook has under their own name."""
    for function in functions:
        if isinstance(function, types.FunctionType) and crosses_by_value(function):
            name, namespace = function.__name__, function.__globals__
            if namespace.get(name) is function:
                yield UsedVariable(name, function, namespace)


def _redefined(variables: Iterable[UsedVariable]) -> list[str]:
    return sorted({each.name for each in variables if is_redefined(each)})


def _listed(names: list[str]) -> str:
    return f"{', '.join(names)} {'was' if len(names) == 1 else 'were'}"
