"""The code and the log levels that each node gets when it joins, and again if they change."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from batchflow.executor.fork_server import ForkServer
from batchflow.executor.import_path import import_path
from batchflow.executor.nodes.envelope import ToNode
from batchflow.executor.nodes.versions import module_digests
from batchflow.executor.step_code import SentCode, log_replaced, unloadable
from batchflow.worker.log_levels import LogLevels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchflow.executor.context import ExecutorContext
    from batchflow.executor.nodes.remote_node import RemoteNode
    from batchflow.executor.ray.driver_link import DriverLink


class NodeSetup:
    """Sends code and log levels to nodes.

    Raises:
        StepCodeError: The code can't be sent.
    """

    def __init__(self, context: ExecutorContext, link: DriverLink) -> None:
        self._context = context
        self._link = link
        self._code = SentCode(context.workflows)
        self._modules = module_digests(context.workflows)
        self._levels = LogLevels.of_this_process()

    def send(self, node: RemoteNode, *, stop: bool) -> None:
        """Set a node up; `stop` is whether its steps are requested to stop."""
        self._send_levels(node)
        data = self._context.to_bytes()
        self._link.to_node(
            node,
            ToNode.SETUP,
            lambda file: file.write(data),
            stop=stop,
            import_path=import_path(),
            modules=self._modules,
        )

    def update(self, nodes: Sequence[RemoteNode], *, stop: bool) -> None:
        """Give idle nodes the levels of loggers and the code of this process, if they changed."""
        levels = LogLevels.of_this_process()
        if levels != self._levels:
            self._levels = levels
            for node in nodes:
                self._send_levels(node)
        if redefined := self._code.redefined():
            self._code = SentCode(self._context.workflows)
            for node in nodes:
                self.send(node, stop=stop)
            log_replaced(redefined)

    def unloadable_here(self) -> str | None:
        """Name the step whose code can't be loaded on this machine either; None if it can be."""
        with contextlib.closing(ForkServer(0, self._code.uses_loop)) as fork_server:
            return unloadable(self._context.workflows, fork_server)

    def _send_levels(self, node: RemoteNode) -> None:
        levels = self._levels.to_bytes()
        self._link.to_node(node, ToNode.LEVELS, lambda file: file.write(levels))
