"""Requests for machines that the cluster doesn't have yet.

An actor that no machine has room for makes Ray's autoscaler start one, or waits until another one
is added. When it is placed it has served its purpose: the machine then gets a node's actor, which
takes all of its cores.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

# After a machine was found, the next request waits: the machine may be one that can't be used.
_PAUSE_SECONDS: Final = 5.0


class MachineRequest:
    """An actor that only has to be placed."""

    async def placed(self) -> bytes:
        """Return when it is placed."""
        return b""


class MachineRequests:
    """Has as many requests pending as machines are missing."""

    def __init__(self) -> None:
        self._pending: dict[asyncio.Task[None], Any] = {}
        self._paused_until = 0.0

    def keep(self, missing: int, cores: int) -> None:
        """Have so many requests pending, each for a machine with so many cores."""
        while len(self._pending) > missing:
            task, actor = self._pending.popitem()
            task.cancel()
            _end(actor)
        if time.monotonic() < self._paused_until:
            return
        while len(self._pending) < missing:
            self._request(cores)

    def _request(self, cores: int) -> None:
        import ray

        actor = ray.remote(MachineRequest).options(num_cpus=cores, max_restarts=0).remote()
        task = asyncio.create_task(self._await_placed(actor))
        self._pending[task] = actor
        task.add_done_callback(lambda task: self._pending.pop(task, None))

    async def _await_placed(self, actor: Any) -> None:
        import ray

        with suppress(ray.exceptions.RayError):
            await actor.placed.remote()
        self._paused_until = time.monotonic() + _PAUSE_SECONDS
        _end(actor)


def _end(actor: Any) -> None:
    import ray

    # It may have ended before, or be out of reach.
    with suppress(Exception):
        ray.kill(actor)
