"""The store: the only package that speaks DuckDB."""

from __future__ import annotations

from batchflow.store.changes import RunsAdded, RunsChanged, RunsRemoved, StoreChange
from batchflow.store.query.plottable import PlottableRelation
from batchflow.store.query.relation import Relation
from batchflow.store.query.stored_run import StoredRun
from batchflow.store.runs.backlog_counts import BacklogCounts
from batchflow.store.runs.commit import CommitSummary, StepCommit
from batchflow.store.store import Store

__all__ = [
    "BacklogCounts",
    "CommitSummary",
    "PlottableRelation",
    "Relation",
    "RunsAdded",
    "RunsChanged",
    "RunsRemoved",
    "StepCommit",
    "Store",
    "StoreChange",
    "StoredRun",
]
