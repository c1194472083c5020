"""One asyncio loop for a worker's lifetime, so that what is opened in it stays usable.

Most workers need none, so asyncio is imported with the first loop: it takes a worker, which imports
it after the fork, longer than all else.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

ResultT = TypeVar("ResultT")


class EventLoop:
    """Run coroutines in one loop that is created at the first call and kept between calls."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: concurrent.futures.ThreadPoolExecutor | None = None

    def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run `coroutine` to its end and return its result, or raise what it raised."""
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
        if self._thread is None and not _is_inside_a_loop():
            return self._loop.run_until_complete(coroutine)
        return self._loop_thread().submit(self._loop.run_until_complete, coroutine).result()

    def close(self) -> None:
        """Cancel the tasks that still run in the loop, and close it."""
        if self._loop is not None:
            self.run(_cancel_others())
            self.run(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._loop = None
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _loop_thread(self) -> concurrent.futures.ThreadPoolExecutor:
        # A thread can't run a loop within a loop, and a notebook's main thread runs one already.
        if self._thread is None:
            self._thread = concurrent.futures.ThreadPoolExecutor(1, "batchflow-loop")
        return self._thread


def _is_inside_a_loop() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _cancel_others() -> None:
    import asyncio

    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
