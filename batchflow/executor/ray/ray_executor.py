"""The executor for a Ray cluster, as you name it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchflow.errors import DefinitionError, InvalidOptionError
from batchflow.executor.choice import ProcessPool
from batchflow.executor.memory_share import machine_bytes
from batchflow.executor.protocol import Capability
from batchflow.operation.options import is_count, is_seconds

if TYPE_CHECKING:
    from collections.abc import Set

    from batchflow.executor.context import ExecutorContext
    from batchflow.executor.protocol import Executor


@dataclass(frozen=True)
class RayExecutor:
    """Execute steps on the nodes of a Ray cluster, in a process pool on each.

    Attributes:
        address: The address of the cluster, like ``"10.0.0.1:6379"``; ``"auto"`` finds the one that
            this machine belongs to, or that RAY_ADDRESS names, and ``"local"`` starts one here.
        nodes: How many nodes are used: a number, or the least and the most. More than the least are
            used while there is work for more than a minute.
        workers: The number of processes of a node; None is one for each of its cores.
        idle_seconds: A node that has had nothing to do for so long is released.
        wait_seconds: A drain without any node ends after so long; None waits without a limit.
        runtime_env: Ray's settings for the processes on nodes. ``{"working_dir": "."}`` sends them
            the modules in a folder.
    """

    address: str = "auto"
    nodes: int | tuple[int, int] = (1, 8)
    workers: int | None = None
    idle_seconds: float = 60.0
    wait_seconds: float | None = None
    runtime_env: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        least, most = self.least_and_most
        if not (is_count(least, 0) and is_count(most, max(1, least))):
            raise InvalidOptionError(
                f"RayExecutor's nodes is {self.nodes!r}; give a number of nodes, or the least and "
                "the most, like (1, 8).",
                option="nodes",
            )
        if self.workers is not None and not is_count(self.workers, 1):
            raise InvalidOptionError(
                f"RayExecutor's workers is {self.workers!r}; give the number of processes of a "
                "node, or None for one for each of its cores.",
                option="workers",
            )
        if not _is_text(self.address):
            raise InvalidOptionError(
                f"RayExecutor's address is {self.address!r}; give a text: 'auto', 'local', or that "
                "of the cluster's head, like '10.0.0.1:6379'.",
                option="address",
            )
        if not _is_settings(self.runtime_env):
            raise InvalidOptionError(
                f"RayExecutor's runtime_env is {self.runtime_env!r}; give a dict, like "
                "{'working_dir': '.'}.",
                option="runtime_env",
            )
        if self.address.startswith("ray://"):
            raise InvalidOptionError(
                f"RayExecutor's address is {self.address!r}, which is the address of a Ray client; "
                "give that of the cluster's head, like 10.0.0.1:6379.",
                option="address",
            )
        for name in ("idle_seconds", "wait_seconds"):
            value = getattr(self, name)
            is_optional = name == "wait_seconds"
            if not (is_seconds(value) or (is_optional and value is None)):
                raise InvalidOptionError(
                    f"RayExecutor's {name} is {value!r}; give a number of seconds.", option=name
                )

    @property
    def capabilities(self) -> Set[Capability]:
        """The abilities of the executor: those of the pools on nodes, which come and go."""
        return ProcessPool().capabilities | {Capability.VARIES_WORKERS}

    @property
    def least_and_most(self) -> tuple[int, int]:
        """The least number of nodes, and the most."""
        return self.nodes if isinstance(self.nodes, tuple) else (self.nodes, self.nodes)

    @property
    def transit_bytes(self) -> int:
        """The most bytes on their way from nodes to the engine: a quarter of the memory here."""
        return machine_bytes() // 4

    def connection(self) -> dict[str, Any]:
        """Return the settings for the process that talks to Ray."""
        least, most = self.least_and_most
        return {
            "address": self.address,
            "runtime_env": dict(self.runtime_env or {}),
            "settings": {
                "least": least,
                "most": most,
                "workers": self.workers,
                "idle_seconds": self.idle_seconds,
                "transit_bytes": self.transit_bytes,
            },
        }

    def open(self, context: ExecutorContext) -> Executor:
        """Open the executor; nodes are started with the first load or run.

        Raises:
            StepCodeError: The code of the workflows can't be sent to workers.
            DefinitionError: Ray isn't installed.
        """
        from batchflow.executor.ray.nodes_executor import NodesExecutor

        if importlib.util.find_spec("ray") is None:
            raise DefinitionError(
                "RayExecutor needs the package ray, which isn't installed. Install it: "
                "pip install 'batchflow-engine[ray]'."
            )
        return NodesExecutor(context, self)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_settings(value: object) -> bool:
    return value is None or isinstance(value, Mapping)
