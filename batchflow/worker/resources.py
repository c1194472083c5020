"""Open a workflow's resources once a worker, and close them at its end."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from batchflow.errors import ResourceError
from batchflow.worker.event_loop import EventLoop

_log = logging.getLogger(__name__)


class Opened(dict[str, Any]):
    """Resources by name; says which there are where one is asked for that isn't."""

    def __missing__(self, name: str) -> Any:
        there = f"there are {', '.join(map(repr, self))}" if self else "there are none"
        raise KeyError(f"the workflow has no resource {name!r}; {there}")


_NONE: Mapping[str, Any] = MappingProxyType(Opened())


class Resources:
    """Keep what the factories of workflows opened.

    A factory may be ``async``, and what it gives may be a context manager, async or not, which is
    then entered. All are called within the event loop that async steps run in, as many clients
    bind to the loop they are made in. They are closed in reverse order, by leaving the context
    manager, or by ``aclose`` or ``close`` where they have one.
    """

    def __init__(self, loop: EventLoop, *, log_values: bool = False) -> None:
        self._loop = loop
        self._log_values = log_values
        self._stack = contextlib.AsyncExitStack()
        self._open: dict[str, Mapping[str, Any]] = {}

    def of(self, workflow: str, factories: Mapping[str, Callable[[], Any]]) -> Mapping[str, Any]:
        """Return the workflow's resources by name, opened if they aren't yet.

        Raises:
            ResourceError: one doesn't open; says which.
        """
        if not factories:
            return _NONE
        if workflow not in self._open:
            self._open[workflow] = MappingProxyType(
                Opened(self._loop.run(self._open_all(factories)))
            )
        return self._open[workflow]

    def close(self) -> None:
        """Close all, also those after one that fails to close, which is logged."""
        if not self._open:
            return
        self._open = {}
        try:
            self._loop.run(self._stack.aclose())
        except Exception as error:
            _log.error(
                "a resource didn't close: %s",
                type(error).__qualname__,
                exc_info=self._log_values,
                extra={"action": "close_resources"},
            )

    async def _open_all(self, factories: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        async with contextlib.AsyncExitStack() as opening:
            opened = {
                name: await _open_one(name, factory, opening) for name, factory in factories.items()
            }
            # Only now are they the worker's: had one failed, those before it would be closed.
            self._stack.push_async_exit(opening.pop_all())
        return opened


async def _open_one(name: str, factory: Callable[[], Any], stack: contextlib.AsyncExitStack) -> Any:
    try:
        made = factory()
        if inspect.isawaitable(made):
            made = await made
        return await _entered(made, stack)
    except BaseException as error:
        raise ResourceError(
            f"resource {name!r} didn't open: {type(error).__qualname__}: {error}; "
            "correct its factory, then run again",
            name=name,
        ) from error


async def _entered(made: Any, stack: contextlib.AsyncExitStack) -> Any:
    # Closed last, if at all: leaving a connection's context often ends a transaction and no more.
    closes = getattr(made, "aclose", None) or getattr(made, "close", None)
    if closes is not None:
        stack.push_async_callback(_close, closes)
    if hasattr(type(made), "__aenter__"):
        return await stack.enter_async_context(made)
    if hasattr(type(made), "__enter__"):
        return stack.enter_context(made)
    return made


async def _close(closes: Callable[[], Any]) -> None:
    closed = closes()
    if inspect.isawaitable(closed):
        await closed
