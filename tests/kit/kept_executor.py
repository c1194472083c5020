"""An executor that a test can reach while an engine uses it."""

from __future__ import annotations

from collections.abc import Set

from batchflow.executor import Capability, Executor, ExecutorContext, ExecutorFactory


class KeptExecutor:
    """Opens the executor of another factory, and keeps it as `opened`."""

    def __init__(self, factory: ExecutorFactory) -> None:
        self._factory = factory
        self.opened: Executor | None = None

    @property
    def capabilities(self) -> Set[Capability]:
        return self._factory.capabilities

    @property
    def pids(self) -> list[int]:
        """The processes of the workers, the shared ones first."""
        return [pid for pid in getattr(self.opened, "pids", ()) if pid is not None]

    def open(self, context: ExecutorContext) -> Executor:
        self.opened = self._factory.open(context)
        return self.opened
