"""The public face: an engine, what it answers, and its settings."""

from __future__ import annotations

from batchflow.engine.config import EngineConfig
from batchflow.engine.engine import Engine
from batchflow.engine.report import FailureReport, Report, StatusCount, StepReport
from batchflow.engine.stored_run import StoredRun

__all__ = [
    "Engine",
    "EngineConfig",
    "FailureReport",
    "Report",
    "StatusCount",
    "StepReport",
    "StoredRun",
]
