"""Load the code of workflows; the only place that reads pickles."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from typing import TYPE_CHECKING

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
