"""The built-in executors as you name them, and the choice of one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from batchflow.errors import InvalidOptionError
from batchflow.executor.inline_executor import InlineExecutor
from batchflow.executor.pool import WorkerPool
from batchflow.executor.protocol import Capability
from batchflow.operation.options import is_count

if TYPE_CHECKING:
    from collections.abc import Set

    from batchflow.executor.context import ExecutorContext
    from batchflow.executor.protocol import Executor, ExecutorFactory


_OF_POOL: Final = frozenset(
    {
        Capability.SEPARATE_PROCESSES,
        Capability.NAMES_CALLS,
        Capability.ENFORCES_TIMEOUTS,
        # Only Linux enforces the limit.
        *([Capability.LIMITS_MEMORY] if sys.platform == "linux" else []),
    }
)


@dataclass(frozen=True)
class Inline:
    """Execute steps in the engine's own process and thread, one chunk at a time.

    It has no time limits and no memory limits, and a step that ends the process ends the engine.
    """

    @property
    def capabilities(self) -> Set[Capability]:
        """The abilities of the executor."""
        return frozenset({Capability.INTERRUPTS})

    def open(self, context: ExecutorContext) -> Executor:
        """Open the executor."""
        return InlineExecutor(context)


@dataclass(frozen=True)
class ProcessPool:
    """Execute steps in worker processes on this machine.

    Attributes:
        workers: The number of processes; None is one for each core that this process may use.
    """

    workers: int | None = None

    @property
    def capabilities(self) -> Set[Capability]:
        """The abilities of the executor."""
        return _OF_POOL

    def __post_init__(self) -> None:
        if self.workers is not None and not is_count(self.workers, least=1):
            raise InvalidOptionError(
                f"ProcessPool's workers is {self.workers!r}; give the number of processes, or use "
                "Inline() to execute steps in this one.",
                option="workers",
            )

    def open(self, context: ExecutorContext) -> Executor:
        """Open the executor; its processes start with the first load or run.

        Raises:
            StepCodeError: The code of the workflows can't be sent to workers.
            InvalidOptionError: The memory limit isn't an amount of memory.
        """
        return WorkerPool(context, self.workers or _usable_cores())


@dataclass(frozen=True)
class PoolBeside:
    """Execute steps in processes that the fork server of another pool may fork.

    Attributes:
        pool: How many they are.
        other: The other pool.
    """

    pool: ProcessPool
    other: WorkerPool

    @property
    def capabilities(self) -> Set[Capability]:
        """The abilities of the executor."""
        return self.pool.capabilities

    def open(self, context: ExecutorContext) -> Executor:
        """Open the executor, as the pool is opened."""
        return WorkerPool(context, self.pool.workers or _usable_cores(), self.other)


def beside(executor: ExecutorFactory, opened: Executor) -> ExecutorFactory:
    """Return an executor like one that this process has open, which starts faster if it can."""
    if isinstance(executor, ProcessPool) and isinstance(opened, WorkerPool):
        return PoolBeside(executor, opened)
    return executor


def warm_up(opened: Executor) -> None:
    """Begin with what takes long to start an executor `beside` an open one, if anything does."""
    if isinstance(opened, WorkerPool):
        opened.warm_up()


def chosen_executor(workers: int | None, executor: ExecutorFactory | None) -> ExecutorFactory:
    """Return the executor that ``workers=`` or ``executor=`` names; the default is a process pool.

    Raises:
        InvalidOptionError: Both are given, or one isn't valid.
    """
    if executor is None:
        return _of_workers(workers)
    if workers is not None:
        raise InvalidOptionError(
            f"Both workers={workers!r} and executor={executor!r} are given; give one of them. "
            "workers=2 is short for executor=ProcessPool(workers=2).",
            option="workers",
        )
    if isinstance(executor, type) or not callable(getattr(executor, "open", None)):
        raise InvalidOptionError(
            f"executor is {executor!r}, which has no open(context) method; give an executor such "
            "as ProcessPool(workers=2) or Inline().",
            option="executor",
        )
    return executor


def _of_workers(workers: int | None) -> ExecutorFactory:
    if workers is not None and not is_count(workers, least=0):
        raise InvalidOptionError(
            f"workers is {workers!r}; give the number of processes, or 0 to execute steps in this "
            "one.",
            option="workers",
        )
    return Inline() if workers == 0 else ProcessPool(workers)


def _usable_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return cores or os.cpu_count() or 1
