"""The workflows and settings that an engine hands to the executor that it opens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchflow.executor.memory_share import AUTO, worker_memory_bytes
from batchflow.executor.step_code import pickled
from batchflow.worker.code_loading import unpickled_workflows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchflow.chunk import Chunk
    from batchflow.definition import AnyWorkflow


@dataclass(frozen=True, kw_only=True, eq=False)
class ExecutorContext:
    """The workflows whose steps are executed, and the settings of their workers.

    Attributes:
        workflows: The workflows by name; a chunk names one of them.
        log_values: Whether error messages may show values of objects.
        worker_memory_limit: ``EngineConfig.worker_memory_limit``, as text.
    """

    workflows: Mapping[str, AnyWorkflow]
    log_values: bool = False
    worker_memory_limit: str | None = AUTO

    def timeout_seconds(self, chunk: Chunk) -> float | None:
        """Return how long one call of the chunk's step may take; None without a limit."""
        return self.workflows[chunk.workflow].steps[chunk.from_code].options.timeout_seconds

    def worker_memory_bytes(self, workers: int) -> int:
        """Return how much memory each of so many workers may take on this machine; 0: no limit.

        Raises:
            InvalidOptionError: ``worker_memory_limit`` isn't an amount of memory.
        """
        return worker_memory_bytes(self.worker_memory_limit, workers)

    def to_bytes(self) -> bytes:
        """Return the context, code included, as bytes that can be sent to another machine.

        Functions that are defined in ``__main__`` or in a notebook are sent by value, others by
        name.

        Raises:
            StepCodeError: The code can't be sent; the message names the step.
        """
        settings = json.dumps([self.log_values, self.worker_memory_limit])
        return settings.encode() + b"\n" + pickled(self.workflows)

    @classmethod
    def from_bytes(cls, data: bytes) -> ExecutorContext:
        """Load a context; this imports the user's modules and raises what they raise.

        It is for the side that executes steps. Load only bytes from an engine that you trust,
        because they are code.
        """
        settings, _, code = data.partition(b"\n")
        log_values, memory_limit = json.loads(settings)
        return cls(
            workflows=unpickled_workflows(code),
            log_values=log_values,
            worker_memory_limit=memory_limit,
        )
