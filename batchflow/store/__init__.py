"""The store: the only place that speaks DuckDB."""

from __future__ import annotations

from batchflow.store.loading.load_options import LoadOptions, SkipOrError
from batchflow.store.loading.load_report import LoadReport, Placed
from batchflow.store.query.plottable import PlottableRelation
from batchflow.store.query.relation import Relation
from batchflow.store.runs.arrival import Arrival
from batchflow.store.runs.backlog_counts import BacklogCounts
from batchflow.store.runs.commit import CommitSummary, StepCommit
from batchflow.store.runs.lifecycle import Moved
from batchflow.store.runs.prune import Pruned, PruneOptions
from batchflow.store.store import Store

__all__ = [
    "Arrival",
    "BacklogCounts",
    "CommitSummary",
    "LoadOptions",
    "LoadReport",
    "Moved",
    "Placed",
    "PlottableRelation",
    "PruneOptions",
    "Pruned",
    "Relation",
    "SkipOrError",
    "StepCommit",
    "Store",
]
