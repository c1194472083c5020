"""A Ray cluster of several nodes on this machine, and an executor whose nodes can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import batchflow as bf
from batchflow.executor.ray.nodes_executor import NodesExecutor

OBJECT_STORE_BYTES = 80 * 1024 * 1024
HOST = Path(__file__).with_name("cluster_host.py")


class RayCluster:
    """A head with one core, and as many nodes with one core each as are added."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HOST)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment},
            text=True,
        )
        self.address = self._reply()

    def add_node(self) -> None:
        """Start a node; it joins a moment later."""
        self._request("add")

    def remove_node(self) -> None:
        """Kill the processes of the node that was added first."""
        self._request("remove")

    def close(self) -> None:
        """End all nodes."""
        self._process.communicate(timeout=30)

    def _request(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert self._reply() == "done"

    def _reply(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@dataclass(frozen=True)
class KillableRay(bf.RayExecutor):
    """The executor for Ray, with a method that kills a node's processes."""

    def open(self, context: bf.ExecutorContext) -> KillableNodes:
        return KillableNodes(context, self)


class KillableNodes(NodesExecutor):
    """Keeps what `completed` returned while it waited for the loss of a node."""

    def __init__(self, context: bf.ExecutorContext, settings: bf.RayExecutor) -> None:
        super().__init__(context, settings)
        self._kept: list[Any] = []

    def add_node(self) -> None:
        self.grow_to(len(self._nodes) + 1)

    def kill_node(self) -> None:
        """Kill the actor of one node, and wait until the executor has noticed."""
        nodes = len(self._nodes)
        os.kill(actors()[-1], signal.SIGKILL)
        while len(self._nodes) == nodes:
            self._kept += super().completed(1.0)

    def completed(self, timeout_seconds: float | None) -> Sequence[Any]:
        kept, self._kept = self._kept, []
        return [*kept, *super().completed(0.0 if kept else timeout_seconds)]


def actors() -> list[int]:
    """Return the processes of the nodes' actors that this process's clusters have."""
    return sorted(
        pid for pid in descendants(os.getpid()) if command_of(pid).startswith("ray::RayNode")
    )


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and those that these have."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    for listed in children:
        try:
            found = [int(child) for child in listed.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in found:
            yield child
            yield from descendants(child)


def command_of(pid: int) -> str:
    """Return the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@dataclass(frozen=True)
class Ending:
    """What is the same after two drains of the same runs, whatever executed them.

    Attributes:
        runs: The columns of each run that don't depend on time, by its foreign id.
        log: Its transitions in their order: the statuses, and the outcome.
    """

    runs: dict[str, tuple[Any, ...]]
    log: dict[str, tuple[Any, ...]]


def ending_of(engine: bf.Engine) -> Ending:
    """Return how the runs of an engine with one workflow ended."""
    [workflow] = engine.workflows
    left_out = "seq, run_id, next_attempt_at, created_at, updated_at, attempt, reason"
    runs = engine.sql(f"SELECT * EXCLUDE ({left_out}) FROM {workflow}.runs").fetchall()
    log = engine.sql(
        "SELECT foreign_id, list(from_status || ' ' || to_status || ' ' || outcome "
        "ORDER BY t.version) "
        f"FROM {workflow}.transitions t JOIN {workflow}.runs USING (seq) GROUP BY ALL"
    ).fetchall()
    return Ending({row[0]: row for row in runs}, {run: tuple(moves) for run, moves in log})


def await_true(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that other processes do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.05)
