"""The store: the only place that speaks DuckDB."""

from __future__ import annotations

from batchflow.store.arrival import Arrival
from batchflow.store.backlog import Backlog
from batchflow.store.commit import CommitSummary, StepCommit
from batchflow.store.lifecycle import Moved
from batchflow.store.load_options import LoadOptions
from batchflow.store.load_report import LoadReport, Placed
from batchflow.store.plottable import PlottableRelation
from batchflow.store.prune import Pruned, PruneOptions
from batchflow.store.relation import Relation
from batchflow.store.store import Store

__all__ = [
    "Arrival",
    "Backlog",
    "CommitSummary",
    "LoadOptions",
    "LoadReport",
    "Moved",
    "Placed",
    "PlottableRelation",
    "PruneOptions",
    "Pruned",
    "Relation",
    "StepCommit",
    "Store",
]
