"""A step to which something goes wrong for some runs."""

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
    """Return a step that does what ``step`` does, but for a fault that some runs meet.

    For row steps, async ones, and batch steps; faults that are put around each other all happen::

        step = with_fault(charge, segfaults(), when=lambda run: run.object.number == 7)
        step = with_fault(step, raises(OSError), when=lambda run: run.attempt == 1)
        workflow.add_step(Status.NEW, step, Status.PAID, Status.FAILED)

    Args:
        step: the step's function.
        fault: what goes wrong, such as ``segfaults()``, ``hangs()``, ``raises(ValueError)``.
        when: which runs it goes wrong for. It is called with what the step is: with a run, and
            answers whether it does, or with a batch, and answers a mask of shape (n,). What
            strikes a call as a whole does so if any run of the batch is in the mask.
    """
    kind: Any = _AsyncFaultyStep if is_async_function(step) else _FaultyStep
    faulty: Callable[[GivenT], AnswerT] = kind(step, fault, when)
    return faulty


class _Faulty:
    """What both kinds have; a class, since a worker then finds it by its name."""

    def __init__(
        self, step: Callable[[Any], Any], fault: Fault, when: Callable[[Any], Any]
    ) -> None:
        # A step is called after its function.
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
