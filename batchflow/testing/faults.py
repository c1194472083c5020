"""What can go wrong with a step."""

from __future__ import annotations

import asyncio
import ctypes
import enum
import math
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.array_writing import to_array
from batchflow.columns.arrays import object_array
from batchflow.view import Batch

_LONGEST_SLEEP_SECONDS = 60.0
_MEMORY_STEP_BYTES = 16 * 1024 * 1024


class Fault:
    """Something that goes wrong in a call of a step; derive from it for one of your own.

    It crosses to the workers, so it must be one that cloudpickle takes.
    """

    def strike(self) -> None:
        """Go wrong before the step is called."""

    async def strike_async(self) -> None:
        """Go wrong before an async step is called; as `strike` does, unless it says otherwise."""
        self.strike()

    def spoil(self, given: Any, struck: Any, answer: Any) -> Any:
        """Go wrong after the step has answered: return what is answered instead.

        ``given`` is what the step was called with, a run or a batch; ``struck`` is what the
        predicate answered: true for a run, and for a batch a mask of shape (n,).
        """
        del given, struck
        return answer


def raises(error: BaseException | Callable[[], BaseException]) -> Fault:
    """Raise an exception, or what a class or function without arguments makes.

    A function makes it in the worker, so that it needn't be one that can be sent there.
    """
    return _Raises(error)


def hangs(seconds: float = math.inf) -> Fault:
    """Do nothing for so long, by default forever, then go on; an async step awaits meanwhile."""
    return _Hangs(seconds)


def exits(code: int = 1) -> Fault:
    """End the process at once with an exit code (``os._exit``)."""
    return _Exits(code)


def segfaults() -> Fault:
    """Read memory that isn't there, as a bug in native code does."""
    return _Segfaults()


def is_killed(by: signal.Signals = signal.SIGKILL) -> Fault:
    """Have the process killed by a signal, by default SIGKILL as when memory is short."""
    return _IsKilled(by)


def eats_memory(most_bytes: int) -> Fault:
    """Take memory and write to all of it, until there is none or so many bytes; then go on.

    Give more than a worker may have. Inline, and where workers have no limit, it takes that much.
    """
    return _EatsMemory(most_bytes)


def answers(nonsense: Any) -> Fault:
    """Answer ``nonsense`` instead of what the step does; of a batch, for the runs in question."""
    return _Answers(nonsense)


def leaves(**nonsense: Any) -> Fault:
    """Leave these values in fields, by name; a batch step reads or assigns the fields as well."""
    return _Leaves(nonsense)


@dataclass(frozen=True)
class _Raises(Fault):
    error: BaseException | Callable[[], BaseException]

    def strike(self) -> None:
        error = self.error if isinstance(self.error, BaseException) else self.error()
        # One that is raised again and again would gather the frames of each time.
        raise error.with_traceback(None)


@dataclass(frozen=True)
class _Hangs(Fault):
    seconds: float

    def strike(self) -> None:
        end = time.monotonic() + self.seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LONGEST_SLEEP_SECONDS))

    async def strike_async(self) -> None:
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class _Exits(Fault):
    code: int

    def strike(self) -> None:
        os._exit(self.code)


@dataclass(frozen=True)
class _Segfaults(Fault):
    def strike(self) -> None:
        ctypes.string_at(0)


@dataclass(frozen=True)
class _IsKilled(Fault):
    by: signal.Signals

    def strike(self) -> None:
        os.kill(os.getpid(), self.by)
        # Another thread may be the one that takes it, a moment later.
        time.sleep(_LONGEST_SLEEP_SECONDS)


@dataclass(frozen=True)
class _EatsMemory(Fault):
    most_bytes: int

    def strike(self) -> None:
        steps = -(-self.most_bytes // _MEMORY_STEP_BYTES)
        # Zeros would be promised only; what isn't zero has to be there.
        _ = [b"\1" * _MEMORY_STEP_BYTES for _ in range(steps)]


@dataclass(frozen=True)
class _Answers(Fault):
    nonsense: Any

    def spoil(self, given: Any, struck: Any, answer: Any) -> Any:
        if not isinstance(given, Batch):
            return self.nonsense
        return _replaced(_one_for_each(answer, len(given)), struck, self.nonsense)


@dataclass(frozen=True)
class _Leaves(Fault):
    nonsense: Mapping[str, Any]

    def spoil(self, given: Any, struck: Any, answer: Any) -> Any:
        for name, value in self.nonsense.items():
            if isinstance(given, Batch):
                given[name] = _replaced(given[name].astype(object), struck, value)
            else:
                setattr(given.object, name, value)
        return answer


def _one_for_each(answer: Any, rows: int) -> npt.NDArray[Any]:
    if answer is None or isinstance(answer, enum.Enum | str | int | np.integer):
        return object_array([answer] * rows)
    column = to_array(answer, rows)
    return object_array(column.to_pylist() if isinstance(column, pa.Array) else list(column))


def _replaced(column: npt.NDArray[Any], struck: Any, nonsense: Any) -> npt.NDArray[Any]:
    # As an array of one object, or a list would be taken for one value a run.
    column[np.asarray(struck, np.bool_)] = object_array([nonsense])
    return column
