"""Execute an ``async`` row step, for several runs at once in one event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from batchflow.errors import StepTimeout
from batchflow.view.run import Run
from batchflow.worker.current_call import enter_call
from batchflow.worker.event_loop import EventLoop
from batchflow.worker.row_session import RowSession

# A call is ended this long after its time, so that one that checks `run.stopping` can return.
_LONGEST_GRACE_SECONDS = 1.0
_GRACE = 0.1


def execute_concurrently(session: RowSession, loop: EventLoop) -> None:
    """Await the step for each run until the slice is over; at most `concurrency` runs at once."""
    loop.run(_execute_all(session))


async def _execute_all(session: RowSession) -> None:
    for part in session.parts():
        rows = iter(part)
        count = min(session.row_step.step.options.concurrency, len(part))
        lanes = [asyncio.create_task(_lane(session, part, rows)) for _ in range(count)]
        try:
            await asyncio.gather(*lanes)
        except asyncio.CancelledError:
            # One of them was interrupted, and the others must not go on without it.
            for lane in lanes:
                lane.cancel()
            await asyncio.wait(lanes)
            raise


async def _lane(session: RowSession, part: range, rows: Iterator[int]) -> None:
    for row in rows:
        await asyncio.create_task(_interruptible_call(session, part, row))
        if session.slice.is_over(time.monotonic()):
            break


async def _interruptible_call(session: RowSession, part: range, row: int) -> None:
    try:
        await _call(session, part, row)
    except KeyboardInterrupt:
        # It would end the loop, in which other coroutines have something to finish.
        raise asyncio.CancelledError from None


async def _call(session: RowSession, part: range, row: int) -> None:
    deadline = session.deadline()
    # The call that begins last has the last deadline. If the loop hangs, no further call begins.
    session.control.enter(part.start, deadline, len(part))
    given: Any = None
    enter_call(session.context.chunk, session.row_step.step.name, row)
    began = time.monotonic()
    try:
        run = session.begin(row, deadline)
        given = run.object
        session.end(row, given, run, await _answer(session, run))
    except BaseException as error:
        session.fail(row, given, error)
    session.slowest.took(row, time.monotonic() - began)


async def _answer(session: RowSession, run: Run[Any, Any]) -> Any:
    timeout = session.row_step.step.options.timeout_seconds
    if timeout is None:
        return await session.row_step.function(run)
    grace = min(timeout * _GRACE, _LONGEST_GRACE_SECONDS)
    limit = asyncio.timeout(timeout + grace)
    try:
        async with limit:
            return await session.row_step.function(run)
    except TimeoutError:
        if not limit.expired():
            raise
        raise StepTimeout(
            f"Step {session.row_step.step.name!r} took longer than its {timeout:g} s; "
            "make it faster, or raise its timeout_seconds."
        ) from None
