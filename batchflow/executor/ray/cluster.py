"""The nodes of a Ray cluster that are used: one actor for each, which takes its cores."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from batchflow.executor.ray.driver_messages import FromDriver
from batchflow.executor.ray.ray_node import RayNode

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_SECONDS: Final = 1.0
# After an actor has ended by itself, its node is left alone for a while; then twice as long.
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class NodeSettings:
    """Which nodes are used, and how.

    Attributes:
        least: The number of nodes that are used even if there is nothing to do.
        most: The most nodes.
        workers: The number of worker processes of a node; None is one for each of its cores.
        idle_seconds: How long a node has nothing to do before it is released.
    """

    least: int
    most: int
    workers: int | None
    idle_seconds: float


@dataclass(eq=False)
class _Placed:
    """An actor, placed on a node or waiting for the node's cores.

    Attributes:
        number: Its number in messages.
        machine: Ray's id of the node.
        name: The name of the node, for people.
        actor: Ray's handle.
        joined: Whether it has answered.
    """

    number: int
    machine: str
    name: str
    workers: int
    actor: Any
    joined: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Cluster:
    """Starts an actor on each node that is wanted, and reports what becomes of them.

    Args:
        settings: Which nodes are used.
        send: Sends a message to the coordinator; never waits.
    """

    def __init__(self, settings: NodeSettings, send: Callable[..., None]) -> None:
        self._settings = settings
        self._send = send
        self._wanted = settings.least
        self._placed: dict[int, _Placed] = {}
        self._numbers = itertools.count()
        self._dropped: set[str] = set()
        self._pauses: dict[str, tuple[float, float]] = {}
        self._changed = asyncio.Event()

    async def watch(self) -> None:
        """Look for nodes as long as more of them are wanted."""
        while True:
            if len(self._placed) < self._wanted:
                await self._place()
            try:
                await asyncio.wait_for(self._changed.wait(), _LOOK_SECONDS)
            except TimeoutError:
                continue
            self._changed.clear()

    def grow(self, nodes: int) -> None:
        """Use at least so many nodes from now on, but not more than the settings allow."""
        self._wanted = max(self._wanted, min(nodes, self._settings.most))
        self._changed.set()

    def forward(self, number: int | None, message: bytes) -> None:
        """Pass a message on to one node, or to all that have joined."""
        for placed in list(self._placed.values()):
            if placed.joined and number in (None, placed.number):
                placed.actor.give.remote(message)

    def drop(self, number: int, *, exclude: bool) -> None:
        """End a node's actor; with `exclude`, don't use the machine again."""
        placed = self._placed.pop(number, None)
        if placed is not None:
            if exclude:
                self._dropped.add(placed.machine)
            self._end(placed)

    async def close(self, seconds: float) -> None:
        """End all actors, those with workers gracefully if they do so within this time."""
        ends = [self._ended(placed) for placed in self._placed.values() if placed.joined]
        if ends:
            await asyncio.wait([asyncio.create_task(end) for end in ends], timeout=seconds)
        for placed in list(self._placed.values()):
            self._end(placed)

    async def _place(self) -> None:
        import ray

        machines = await asyncio.to_thread(ray.nodes)
        used = {placed.machine for placed in self._placed.values()} | self._dropped
        now = time.monotonic()
        for machine in machines:
            cores = int(machine["Resources"].get("CPU", 0))
            known = (
                machine["NodeID"] in used or self._pauses.get(machine["NodeID"], (0, 0))[0] > now
            )
            if len(self._placed) < self._wanted and machine["Alive"] and cores and not known:
                self._start(machine, self._settings.workers or cores)

    def _start(self, machine: dict[str, Any], workers: int) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
        options = {"num_cpus": workers, "scheduling_strategy": there, "max_restarts": 0}
        actor = ray.remote(RayNode).options(**options).remote(workers)
        name = f"{machine['NodeManagerHostname']}/{machine['NodeID'][:6]}"
        placed = _Placed(next(self._numbers), machine["NodeID"], name, workers, actor)
        self._placed[placed.number] = placed
        placed.task = asyncio.create_task(self._serve(placed))

    async def _serve(self, placed: _Placed) -> None:
        """Pass on what the node sends, until it ends."""
        idle: asyncio.Task[None] | None = None
        try:
            hello = await placed.actor.hello.remote()
            placed.joined = True
            self._send(
                FromDriver.JOINED,
                hello,
                node=placed.number,
                name=placed.name,
                workers=placed.workers,
            )
            idle = asyncio.create_task(self._release_when_idle(placed))
            while True:
                news = await placed.actor.news.remote()
                self._send(FromDriver.NEWS, news, node=placed.number)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # Ray has a dozen errors for an actor that is gone, and may report another one first.
            self._left(placed, f"{type(error).__name__}: {error}")
        finally:
            if idle is not None:
                idle.cancel()

    async def _release_when_idle(self, placed: _Placed) -> None:
        while True:
            await placed.actor.until_idle.remote(self._settings.idle_seconds)
            if len(self._placed) > self._settings.least:
                break
            await asyncio.sleep(self._settings.idle_seconds)
        self._wanted = max(self._settings.least, len(self._placed) - 1)
        await self._ended(placed)
        self._left(placed, "")

    async def _ended(self, placed: _Placed) -> None:
        import ray

        try:
            await placed.actor.end.remote()
        except ray.exceptions.RayError:
            return

    def _left(self, placed: _Placed, cause: str) -> None:
        if self._placed.pop(placed.number, None) is None:
            return
        if cause:
            self._pause(placed)
        self._end(placed)
        self._send(FromDriver.LEFT, node=placed.number, name=placed.name, cause=cause)
        self._changed.set()

    def _pause(self, placed: _Placed) -> None:
        _, last = self._pauses.get(placed.machine, (0.0, _FIRST_PAUSE_SECONDS / 2))
        pause = min(2 * last, _LONGEST_PAUSE_SECONDS)
        self._pauses[placed.machine] = time.monotonic() + pause, pause

    def _end(self, placed: _Placed) -> None:
        import ray

        if placed.task is not None and placed.task is not asyncio.current_task():
            placed.task.cancel()
        # It may have ended before, or be out of reach, where Ray ends it.
        try:
            ray.kill(placed.actor)
        except Exception:
            return
