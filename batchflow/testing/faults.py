"""Faults that a step can have in a test."""

from __future__ import annotations

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
    """A fault in a call of a step; subclass it for a fault of your own.

    It is sent to the workers, so cloudpickle must be able to pickle it.
    """

    def strike(self) -> None:
        """Fail before the step is called."""

    async def strike_async(self) -> None:
        """Fail before an async step is called; the default does the same as `strike`."""
        self.strike()

    def spoil(self, given: Any, struck: Any, answer: Any) -> Any:
        """Return another answer, after the step has returned one.

        ``given`` is the step's argument, a run or a batch. ``struck`` is the result of the
        predicate: true for a run, and for a batch a mask of shape (n,).
        """
        del given, struck
        return answer


def raises(error: BaseException | Callable[[], BaseException]) -> Fault:
    """Raise an exception, or the one that a class or function without arguments returns.

    A function is called in the worker, so its exception doesn't have to be picklable.
    """
    return _Raises(error)


def hangs(seconds: float = math.inf) -> Fault:
    """Do nothing for a time, by default forever, then go on; an async step awaits meanwhile."""
    return _Hangs(seconds)


def exits(code: int = 1) -> Fault:
    """End the process at once with an exit code, by ``os._exit``."""
    return _Exits(code)


def segfaults() -> Fault:
    """Read memory that isn't mapped, as a bug in native code does."""
    return _Segfaults()


def is_killed(by: signal.Signals = signal.SIGKILL) -> Fault:
    """Kill the process with a signal, by default SIGKILL, as the kernel does without memory."""
    return _IsKilled(by)


def eats_memory(most_bytes: int) -> Fault:
    """Allocate and fill memory until allocation fails or ``most_bytes`` are taken; then go on.

    Give more than a worker may have. Without a limit, and inline, it takes that much.
    """
    return _EatsMemory(most_bytes)


def answers(nonsense: Any) -> Fault:
    """Return ``nonsense`` instead of the step's answer; in a batch, only for the struck runs."""
    return _Answers(nonsense)


def leaves(**nonsense: Any) -> Fault:
    """Leave these values in fields, by name; a batch step must read or assign these fields."""
    return _Leaves(nonsense)


@dataclass(frozen=True)
class _Raises(Fault):
    error: BaseException | Callable[[], BaseException]

    def strike(self) -> None:
        error = self.error if isinstance(self.error, BaseException) else self.error()
        # An exception that is raised repeatedly would collect the frames of each time.
        raise error.with_traceback(None)


@dataclass(frozen=True)
class _Hangs(Fault):
    seconds: float

    def strike(self) -> None:
        end = time.monotonic() + self.seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LONGEST_SLEEP_SECONDS))

    async def strike_async(self) -> None:
        # Imported here, as the worker of a step without a loop has no use for it.
        import asyncio

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
        # Another thread may receive the signal, a moment later.
        time.sleep(_LONGEST_SLEEP_SECONDS)


@dataclass(frozen=True)
class _EatsMemory(Fault):
    most_bytes: int

    def strike(self) -> None:
        steps = -(-self.most_bytes // _MEMORY_STEP_BYTES)
        # The kernel only promises pages of zeros; other values need real memory.
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
    # An array of one object, because NumPy would take a list as one value for each run.
    column[np.asarray(struck, np.bool_)] = object_array([nonsense])
    return column
