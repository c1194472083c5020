"""The store: the only package that speaks DuckDB."""

from __future__ import annotations

from batchflow.store.changes import RunsAdded, RunsChanged, RunsPutBack, RunsRemoved, StoreChange
from batchflow.store.database.torn_log import RepairReport
from batchflow.store.query.check_report import CheckReport
from batchflow.store.query.plottable import PlottableRelation
from batchflow.store.query.relation import Relation
from batchflow.store.query.stored_run import StoredRun
from batchflow.store.repairing import repair
from batchflow.store.runs.backlog_counts import BacklogCounts, WorkLeft
from batchflow.store.runs.commit import WriteInterruptedError
from batchflow.store.runs.cost_log import IN_STORE, ChunkCost, CommitCosts, SlowRun, StepCosts
from batchflow.store.runs.step_commit import CommitResult, StepCommit
from batchflow.store.sql_steps.sql_result import SqlStepResult
from batchflow.store.store import Store

__all__ = [
    "IN_STORE",
    "BacklogCounts",
    "CheckReport",
    "ChunkCost",
    "CommitCosts",
    "CommitResult",
    "PlottableRelation",
    "Relation",
    "RepairReport",
    "RunsAdded",
    "RunsChanged",
    "RunsPutBack",
    "RunsRemoved",
    "SlowRun",
    "SqlStepResult",
    "StepCommit",
    "StepCosts",
    "Store",
    "StoreChange",
    "StoredRun",
    "WorkLeft",
    "WriteInterruptedError",
    "repair",
]
