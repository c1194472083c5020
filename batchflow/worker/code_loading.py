"""Load the code of workflows; the only place that reads pickles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import cloudpickle

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow


def unpickled_workflows(code: bytes) -> Mapping[str, AnyWorkflow]:
    """Return the workflows that an engine has sent; this imports the user's modules.

    Workers alone call it. The engine never does: results are Arrow and JSON.
    """
    workflows: Mapping[str, AnyWorkflow] = cloudpickle.loads(code)
    return workflows
