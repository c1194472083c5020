"""A span of OpenTelemetry for each commit, if its API is installed; never one for each run."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow
    from batchflow.store import CommitCosts


def record_commit(workflow: AnyWorkflow, costs: CommitCosts, seconds: float) -> None:
    """Send the span of a commit that has just ended; nothing for the copies of a rehearsal."""
    tracer = _tracer()
    if tracer is None or workflow.is_rehearsed:
        return
    end = time.time_ns()
    attributes = {
        "batchflow.steps": [f"{each.workflow}.{each.step}" for each in costs.steps],
        "batchflow.runs": sum(each.runs for each in costs.steps),
        "batchflow.failed": sum(each.failed for each in costs.steps),
        "batchflow.chunks": sum(each.chunks for each in costs.steps),
    }
    span = tracer.start_span(
        "batchflow.commit", attributes=attributes, start_time=end - round(seconds * 1e9)
    )
    span.end(end)


@functools.cache
def _tracer() -> Any:
    """Return the tracer, which sends nothing unless the process has set up an exporter."""
    try:
        from opentelemetry.trace import get_tracer
    except ImportError:
        return None
    return get_tracer("batchflow")
