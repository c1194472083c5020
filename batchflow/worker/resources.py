"""Open a workflow's resources once per worker, and close them when the worker ends."""

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


class OpenedResources(dict[str, Any]):
    """Hold resources by name; the KeyError of a missing one lists those that exist."""

    def __missing__(self, name: str) -> Any:
        known = f"it has {', '.join(map(repr, self))}" if self else "it has none"
        raise KeyError(f"The workflow has no resource {name!r}; {known}.")


_NONE: Mapping[str, Any] = MappingProxyType(OpenedResources())


class Resources:
    """Keep the resources that the factories of workflows opened.

    A factory may be ``async``, and it may return a context manager, async or not, which is then
    entered. All factories are called within the event loop that async steps run in, because many
    clients bind to the loop in which they are created. Resources are closed in reverse order: a
    context manager is left, and others have their ``aclose`` or ``close`` called, if any.
    """

    def __init__(self, loop: EventLoop, *, log_values: bool = False) -> None:
        self._loop = loop
        self._log_values = log_values
        self._stack = contextlib.AsyncExitStack()
        self._open: dict[str, Mapping[str, Any]] = {}

    def of(self, workflow: str, factories: Mapping[str, Callable[[], Any]]) -> Mapping[str, Any]:
        """Return the workflow's resources by name; open them at the first call.

        Raises:
            ResourceError: One doesn't open; the message names it.
        """
        if not factories:
            return _NONE
        if workflow not in self._open:
            self._open[workflow] = MappingProxyType(
                OpenedResources(self._loop.run(self._open_all(factories)))
            )
        return self._open[workflow]

    def close(self) -> None:
        """Close all resources; log the failure of one, and close the others."""
        if not self._open:
            return
        self._open = {}
        try:
            self._loop.run(self._stack.aclose())
        except Exception as error:
            _log.error(
                "A resource didn't close: %s.",
                type(error).__qualname__,
                exc_info=self._log_values,
                extra={"action": "close_resources"},
            )

    async def _open_all(self, factories: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        async with contextlib.AsyncExitStack() as opening:
            opened = {
                name: await _open_one(name, factory, opening) for name, factory in factories.items()
            }
            # Only now does the worker own them; if one failed, this context closes the others.
            self._stack.push_async_exit(opening.pop_all())
        return opened


async def _open_one(name: str, factory: Callable[[], Any], stack: contextlib.AsyncExitStack) -> Any:
    try:
        opened = factory()
        if inspect.isawaitable(opened):
            opened = await opened
        return await _entered(opened, stack)
    except BaseException as error:
        raise ResourceError(
            f"Resource {name!r} didn't open: {type(error).__qualname__}: {error}; "
            "correct its factory, then run again.",
            name=name,
        ) from error


async def _entered(opened: Any, stack: contextlib.AsyncExitStack) -> Any:
    # This is closed last: leaving a connection's context often ends a transaction and no more.
    close = getattr(opened, "aclose", None) or getattr(opened, "close", None)
    if close is not None:
        stack.push_async_callback(_close, close)
    if hasattr(type(opened), "__aenter__"):
        return await stack.enter_async_context(opened)
    if hasattr(type(opened), "__enter__"):
        return stack.enter_context(opened)
    return opened


async def _close(close: Callable[[], Any]) -> None:
    closing = close()
    if inspect.isawaitable(closing):
        await closing
