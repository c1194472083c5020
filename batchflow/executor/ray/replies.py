"""Taking replies of actors, which may be of any size, into bounded memory.

An actor runs the user's code. A reply stays where it was made until its size is known here, and
until there is room for it on the way to the coordinator.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from batchflow.short_form import short_number

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_BYTES_OF_NO_NEWS: Final = 64 * 1024
# Many small messages take more memory than their bytes.
_BYTES_OF_A_MESSAGE: Final = 4 * 1024


class InvalidReplyError(Exception):
    """A reply that isn't taken; the message says why."""


class TransitRoom:
    """The bytes that there is room for.

    Args:
        size: Their number.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait for room of this size, in the order of calls, so that a large one has its turn."""
        async with self._turn:
            while self._left < size:
                self._freed.clear()
                await self._freed.wait()
            self._left -= size

    def free(self, size: int) -> None:
        """Give room of this size back."""
        self._left += size
        self._freed.set()


class Replies:
    """Takes replies.

    Args:
        transit_bytes: The most bytes on their way to the coordinator. One reply may have half.
    """

    def __init__(self, transit_bytes: int) -> None:
        self._most = transit_bytes // 2
        self._room = TransitRoom(transit_bytes)

    async def take(self, reply: Any) -> tuple[bytes, int]:
        """Wait for a reply and for room, and return it with the bytes that `free` gets back.

        Raises:
            InvalidReplyError: It is too large, or no bytes.
            RayError: The actor has ended.
        """
        size = await _size(reply, self._most) + _BYTES_OF_A_MESSAGE
        await self._room.take(size)
        try:
            return await _bytes(reply), size
        except BaseException:
            self._room.free(size)
            raise

    def free(self, size: int) -> None:
        """Record that the coordinator has taken replies of this size."""
        self._room.free(size)


async def take_small(reply: Any) -> bytes:
    """Wait for a reply that isn't about runs, and return it.

    Raises:
        InvalidReplyError: It is too large, or no bytes.
        RayError: The actor has ended.
    """
    await _size(reply, _MOST_BYTES_OF_NO_NEWS)
    return await _bytes(reply)


async def _size(reply: Any, most: int) -> int:
    """Wait until a reply exists, wherever it is, and return its size."""
    import ray
    from ray.experimental import get_local_object_locations

    await _in_thread(lambda: ray.wait([reply], fetch_local=False))
    # There is none if the actor has ended.
    size = get_local_object_locations([reply])[reply]["object_size"] or 0
    if size > most:
        raise InvalidReplyError(
            f"its reply has {short_number(size)}B, and at most {short_number(most)}B are taken; "
            "if a step returns so much, give it a lower chunk_rows"
        )
    return int(size)


async def _bytes(reply: Any) -> bytes:
    found = await reply
    if type(found) is not bytes:
        raise InvalidReplyError(f"its reply is of type {type(found).__name__}")
    return found


async def _in_thread(wait: Callable[[], object]) -> None:
    """Call what waits, in a thread that doesn't keep this process from ending."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def call() -> None:
        try:
            wait()
        finally:
            # The loop may have ended.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=call, daemon=True).start()
    await done.wait()
