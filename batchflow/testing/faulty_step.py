"""A step that fails for some runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from batchflow.definition.step import is_async_function, name_of_function
from batchflow.testing.faults import Fault

GivenT = TypeVar("GivenT")
AnswerT = TypeVar("AnswerT")


def with_fault(
    step: Callable[[GivenT], AnswerT], fault: Fault, *, when: Callable[[GivenT], Any]
) -> Callable[[GivenT], AnswerT]:
    """Return a step that does the same as ``step``, but has a fault for some runs.

    It takes row steps, async ones, and batch steps. Nested faults all happen::

        step = with_fault(charge, segfaults(), when=lambda run: run.object.number == 7)
        step = with_fault(step, raises(OSError), when=lambda run: run.attempt == 1)
        workflow.add_step(Status.NEW, step, Status.PAID, Status.FAILED)

    Args:
        step: The step's function.
        fault: The fault, such as ``segfaults()``, ``hangs()``, ``raises(ValueError)``.
        when: The runs that have the fault: a predicate with the step's argument. For a run it
            returns a bool, for a batch a mask of shape (n,). A fault of the whole call happens if
            any run of the batch is in the mask.
    """
    kind: Any = _AsyncFaultyStep if is_async_function(step) else _FaultyStep
    faulty: Callable[[GivenT], AnswerT] = kind(step, fault, when)
    return faulty


class _Faulty:
    """The base of both kinds; a class, so that a worker finds it by its name."""

    def __init__(
        self, step: Callable[[Any], Any], fault: Fault, when: Callable[[Any], Any]
    ) -> None:
        # The step's name is that of its function.
        self.__name__ = name_of_function(step)
        self._step = step
        self._fault = fault
        self._when = when


class _FaultyStep(_Faulty):
    def __call__(self, given: Any) -> Any:
        struck = self._when(given)
        if not np.any(struck):
            return self._step(given)
        self._fault.strike()
        return self._fault.spoil(given, struck, self._step(given))


class _AsyncFaultyStep(_Faulty):
    async def __call__(self, given: Any) -> Any:
        struck = self._when(given)
        if not np.any(struck):
            return await self._step(given)
        await self._fault.strike_async()
        return self._fault.spoil(given, struck, await self._step(given))
