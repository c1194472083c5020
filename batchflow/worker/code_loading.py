"""Load the code of workflows; the only place that reads pickles.

The functions that pickles name are here and not beside the pickler, as each worker would import its
package.
"""

from __future__ import annotations

import contextvars
import functools
import linecache
from collections.abc import Callable, Mapping
from types import CodeType
from typing import TYPE_CHECKING, Any

import cloudpickle

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow


def unpickled_workflows(code: bytes) -> Mapping[str, AnyWorkflow]:
    """Return the workflows that an engine has sent; this imports the user's modules.

    Workers alone call it. The engine never does: results are Arrow and JSON. The source of code
    that has no file, such as a notebook's cells, comes with it, so that tracebacks show its lines.
    """
    sources, pickled = cloudpickle.loads(code)
    for name, lines in sources.items():
        # Without a time of change, `linecache` keeps the lines although no file has them.
        linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    workflows: Mapping[str, AnyWorkflow] = cloudpickle.loads(pickled)
    return workflows


def code_of_file(name: str, make: Callable[..., CodeType], arguments: Any) -> CodeType:
    """Make code that has the name of its file, which tracebacks show and cloudpickle leaves out."""
    return make(*arguments).replace(co_filename=name)


def cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    """Make a function with a cache of its own, which is empty."""
    made: Callable[..., Any] = functools.lru_cache(**parameters)(function)
    return made


def context_variable(name: str, *default: Any) -> contextvars.ContextVar[Any]:
    """Make a context variable, with a default value if there is one."""
    return (
        contextvars.ContextVar(name, default=default[0])
        if default
        else (contextvars.ContextVar(name))
    )
