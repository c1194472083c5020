"""The open engines of this process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchflow.store.database.instance import MEMORY

if TYPE_CHECKING:
    from types import FrameType

    from batchflow.engine.engine import Engine

log = logging.getLogger("batchflow")


@dataclass(frozen=True)
class _Opened:
    """The process of an open engine, and whether another may replace it."""

    pid: int
    is_replaceable: Callable[[], bool]


# Strong references: an engine holds its store until it is closed, also if its variable is lost.
_engines: dict[Engine, _Opened] = {}


def engines() -> tuple[Engine, ...]:
    """Return the engines that this process has open, in the order in which they were opened.

    They include engines whose variable is lost, for example because an exception ended a cell of a
    notebook. Those of a parent process aren't included.
    """
    known = tuple(_engines.items())
    return tuple(engine for engine, opened in known if opened.pid == os.getpid())


def remember(engine: Engine, is_replaceable: Callable[[], bool]) -> None:
    """Add an engine that was opened."""
    _engines[engine] = _Opened(os.getpid(), is_replaceable)


def keep_open(engine: Engine) -> None:
    """Let no other engine replace this one, because a ``with`` block closes it."""
    if engine in _engines:
        _engines[engine] = replace(_engines[engine], is_replaceable=lambda: False)


def forget(engine: Engine) -> None:
    """Remove an engine that is being closed; a second call does nothing."""
    _engines.pop(engine, None)


def is_top_level(frame: FrameType) -> bool:
    """Return whether a frame is code of a script or of a notebook's cell outside of functions."""
    main = sys.modules.get("__main__")
    return main is not None and frame.f_globals is vars(main) and frame.f_locals is frame.f_globals


def close_replaced(path: str | os.PathLike[str]) -> None:
    """Close the engine of a store if the same cell or script could have opened it, and it is idle.

    A cell of a notebook that is executed again opens its store again, while its variable still has
    the former engine. That one has committed all that it did.
    """
    if os.fspath(path) == MEMORY:
        return
    real = os.path.realpath(path)
    for engine in engines():
        if engine.path == real and _engines[engine].is_replaceable():
            engine.close()
            log.info(
                "The idle engine of %r was closed, because its store was opened again.",
                real,
                extra={"action": "replace_engine", "path": real},
            )
