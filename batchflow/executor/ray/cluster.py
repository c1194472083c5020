"""The nodes of a Ray cluster that are used: one actor for each, which takes its cores."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from batchflow.executor.ray.driver_messages import FromDriver
from batchflow.executor.ray.machine_requests import MachineRequests
from batchflow.executor.ray.ray_node import RayNode
from batchflow.executor.ray.replies import InvalidReplyError, Replies, take_small

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOOK_SECONDS: Final = 1.0
_LONGEST_CAUSE: Final = 300
# If a node hasn't joined after this time, because its cores are taken, another is tried as well.
_PATIENCE_SECONDS: Final = 10.0
# After an actor has ended by itself, its machine is left alone for a while; then twice as long.
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class NodeSettings:
    """Which nodes are used, and how.

    Attributes:
        least: The number of nodes that are used even if there is nothing to do.
        most: The most nodes.
        workers: The number of worker processes of a node; None is one for each of its cores.
        idle_seconds: How long a node has nothing to do before it is released.
        transit_bytes: The most bytes on their way from nodes to the coordinator.
    """

    least: int
    most: int
    workers: int | None
    idle_seconds: float
    transit_bytes: int


@dataclass(eq=False)
class _Placed:
    """An actor, placed on a node or waiting for the node's cores.

    Attributes:
        number: Its number in messages.
        machine: Ray's id of the node.
        name: The name of the node, for people.
        actor: Ray's handle.
        placed_at: When it was placed.
        joined: Whether it has answered.
        numbers: The numbers of the messages to it.
    """

    number: int
    machine: str
    name: str
    workers: int
    actor: Any
    placed_at: float
    joined: bool = False
    numbers: Iterator[int] = field(default_factory=itertools.count)
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
        self._requests = MachineRequests()
        self._replies = Replies(settings.transit_bytes)

    async def watch(self) -> None:
        """Look for nodes as long as more of them are wanted."""
        while True:
            if self._missing > 0:
                await self._place()
            else:
                self._withdraw()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _LOOK_SECONDS)
            self._changed.clear()

    @property
    def _missing(self) -> int:
        """How many nodes are wanted besides those that have joined or are about to."""
        since = time.monotonic() - _PATIENCE_SECONDS
        expected = [each for each in self._placed.values() if each.joined or each.placed_at > since]
        return self._wanted - len(expected)

    @property
    def _joined(self) -> int:
        return sum(placed.joined for placed in self._placed.values())

    def _withdraw(self) -> None:
        """Stop waiting for further machines if enough nodes have joined."""
        if self._joined < self._wanted:
            return
        self._requests.keep(0, 1)
        for placed in list(self._placed.values()):
            if not placed.joined:
                del self._placed[placed.number]
                self._end(placed)

    def grow(self, nodes: int) -> None:
        """Use at least so many nodes from now on, but not more than the settings allow."""
        self._wanted = max(self._wanted, min(nodes, self._settings.most))
        self._changed.set()

    def forward(self, number: int, message: bytes) -> None:
        """Pass a message on to a node, unless it has left."""
        placed = self._placed.get(number)
        if placed is not None:
            placed.actor.give.remote(next(placed.numbers), message)

    def free(self, size: int) -> None:
        """Record that the coordinator has taken news of this size."""
        self._replies.free(size)

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
        for machine in machines:
            cores = int(machine["Resources"].get("CPU", 0))
            if (
                self._missing > 0
                and machine["Alive"]
                and cores
                and self._may_use(machine["NodeID"])
            ):
                self._start(machine, self._settings.workers or cores)

        # No machine whose cores are taken by a node has room for as many again.
        most_cores = max(int(machine["Resources"].get("CPU", 0)) for machine in machines)
        self._requests.keep(self._missing, max(most_cores, self._settings.workers or 1))

    def _may_use(self, machine: str) -> bool:
        paused_until, _ = self._pauses.get(machine, (0.0, 0.0))
        used = any(placed.machine == machine for placed in self._placed.values())
        return not used and machine not in self._dropped and time.monotonic() >= paused_until

    def _start(self, machine: dict[str, Any], workers: int) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
        options = {"num_cpus": workers, "scheduling_strategy": there, "max_restarts": 0}
        actor = ray.remote(RayNode).options(**options).remote(workers)
        name = f"{machine['NodeManagerHostname']}/{machine['NodeID'][:6]}"
        placed = _Placed(
            next(self._numbers), machine["NodeID"], name, workers, actor, time.monotonic()
        )
        self._placed[placed.number] = placed
        placed.task = asyncio.create_task(self._serve(placed))

    async def _serve(self, placed: _Placed) -> None:
        """Pass on what the node sends, until it ends."""
        idle: asyncio.Task[None] | None = None
        try:
            hello = await take_small(placed.actor.hello.remote())
            placed.joined = True
            self._changed.set()
            self._send(
                FromDriver.JOINED,
                hello,
                node=placed.number,
                name=placed.name,
                workers=placed.workers,
            )
            idle = asyncio.create_task(self._release_when_idle(placed))
            while True:
                news, size = await self._replies.take(placed.actor.news.remote())
                self._send(FromDriver.NEWS, news, node=placed.number, size=size)
        except asyncio.CancelledError:
            raise
        except InvalidReplyError as error:
            self._left(placed, str(error))
        except BaseException as error:
            # Ray has a dozen errors for an actor that is gone, and may report another one first.
            self._left(placed, _first_line(error))
        finally:
            if idle is not None:
                idle.cancel()

    async def _release_when_idle(self, placed: _Placed) -> None:
        while True:
            await take_small(placed.actor.until_idle.remote(self._settings.idle_seconds))
            if self._joined > self._settings.least:
                break
            await asyncio.sleep(self._settings.idle_seconds)
        self._wanted = max(self._settings.least, self._joined - 1)
        await self._ended(placed)
        self._left(placed, "")

    async def _ended(self, placed: _Placed) -> None:
        import ray

        with suppress(ray.exceptions.RayError, InvalidReplyError):
            await take_small(placed.actor.end.remote())

    def _left(self, placed: _Placed, cause: str) -> None:
        if self._placed.pop(placed.number, None) is None:
            return
        if cause:
            self._pause(placed)
        self._end(placed)
        self._send(FromDriver.LEFT, node=placed.number, name=placed.name, cause=cause)
        self._changed.set()

    def _pause(self, placed: _Placed) -> None:
        now = time.monotonic()
        until, last = self._pauses.get(placed.machine, (0.0, 0.0))
        if now - until > _LONGEST_PAUSE_SECONDS:
            last = 0.0
        pause = min(max(2 * last, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        self._pauses[placed.machine] = now + pause, pause

    def _end(self, placed: _Placed) -> None:
        import ray

        if placed.task is not None and placed.task is not asyncio.current_task():
            placed.task.cancel()
        # It may have ended before, or be out of reach, where Ray ends it.
        with suppress(Exception):
            ray.kill(placed.actor)


def _first_line(error: BaseException) -> str:
    """Return an error without the ids, addresses and remote tracebacks that Ray adds."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:_LONGEST_CAUSE]}"
