"""One asyncio loop for a worker's lifetime, so that what is opened in it stays usable.

Most workers need none, so asyncio is imported with the first loop: it takes a worker, which imports
it after the fork, longer than all else.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from batchflow.worker.thread_team import GRACE_SECONDS, ThreadTeam

if TYPE_CHECKING:
    import asyncio

ResultT = TypeVar("ResultT")


class EventLoop:
    """Run coroutines in one loop that is created at the first call and kept between calls."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        # A thread can't run a loop within a loop, and a notebook's main thread runs one already.
        self._thread: ThreadTeam | None = None
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = False

    def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run `coroutine` to its end and return its result, or raise what it raised.

        Raises:
            KeyboardInterrupt: `interrupt` was called meanwhile.
        """
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        if self._thread is None and _is_inside_a_loop():
            self._thread = ThreadTeam(1, "batchflow-loop")
        self._interrupted = False
        task = self._task = self._loop.create_task(coroutine)
        try:
            self._complete(self._loop, task)
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
            raise KeyboardInterrupt from None
        finally:
            self._task = None
            if not task.done():
                self._give_up(self._loop, task)
        result: ResultT = task.result()
        return result

    def interrupt(self) -> bool:
        """Cancel what `run` waits for; called by a signal handler, in the thread of `run`.

        Returns:
            False if an exception must break into the thread as well, because it executes no
            coroutine, or one that doesn't wait. Between coroutines, an exception would lose the
            wake-up of one of them, which could never end then.
        """
        loop, task = self._loop, self._task
        if loop is None or task is None:
            return False
        import asyncio

        if self._thread is None and asyncio.current_task(loop) is not None:
            return False
        self._interrupted = True
        loop.call_soon_threadsafe(task.cancel)
        return self._thread is None

    def close(self) -> None:
        """Cancel the tasks that still run in the loop, and close it."""
        if self._loop is not None and (self._thread is None or self._thread.is_free()):
            self.run(_cancel_others())
            self.run(self._loop.shutdown_asyncgens())
            self._loop.close()
        self._loop = None
        if self._thread is not None:
            self._thread.close()
            self._thread = None

    def _complete(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        if self._thread is None:
            loop.run_until_complete(task)
        else:
            self._thread.do(partial(loop.run_until_complete, task))

    def _give_up(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        """End the coroutines that wait, after an exception broke into another or into `run`."""
        import asyncio

        if self._thread is None:
            task.cancel()
            loop.run_until_complete(asyncio.wait([task], timeout=GRACE_SECONDS))
        else:
            self._thread.is_free()


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
    if others:
        # Unlike gather(), it can be cancelled although another task refuses to end.
        await asyncio.wait(others)
