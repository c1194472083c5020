"""The actor that holds a node's pool; it runs in a process that Ray has started there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from typing import Final

from batchflow.executor.nodes.node import Node
from batchflow.executor.nodes.versions import versions

# One reply isn't larger, unless a single message is.
_MOST_REPLY_BYTES: Final = 64 * 1024 * 1024


class RayNode:
    """A node whose messages are the arguments and the results of an actor's methods.

    Args and results are bytes, which Ray doesn't pickle.
    """

    def __init__(self, workers: int) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._early: dict[int, bytes] = {}
        self._next_number = 0
        self._outbox: deque[bytes] = deque()
        self._has_news = asyncio.Event()
        self._node = Node(workers, self._post)

    async def hello(self) -> bytes:
        """Return the versions of this process; called first."""
        self._loop = asyncio.get_running_loop()
        return json.dumps(versions()).encode()

    async def give(self, number: int, message: bytes) -> None:
        """Pass messages of the coordinator on to the node, in the order of their numbers.

        Ray calls the methods of an asynchronous actor in any order.
        """
        self._early[number] = message
        while self._next_number in self._early:
            self._node.give(self._early.pop(self._next_number))
            self._next_number += 1

    async def news(self) -> bytes:
        """Wait for messages of the node, and return them."""
        await self._has_news.wait()
        self._has_news.clear()
        taken: list[bytes] = []
        size = 0
        while self._outbox and (not taken or size + len(self._outbox[0]) <= _MOST_REPLY_BYTES):
            taken.append(self._outbox.popleft())
            size += len(taken[-1])
        if self._outbox:
            self._has_news.set()
        return b"".join(taken)

    async def until_idle(self, seconds: float) -> bytes:
        """Wait until the node has had no chunk for so long."""
        while (left := seconds - self._node.idle_seconds) > 0:  # noqa: ASYNC110 - it is a time
            await asyncio.sleep(left)
        return b""

    async def end(self) -> bytes:
        """End all workers."""
        await asyncio.to_thread(self._node.end)
        return b""

    def _post(self, message: bytes) -> None:
        self._outbox.append(message)
        if self._loop is not None:
            # The process may be about to end.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._has_news.set)
