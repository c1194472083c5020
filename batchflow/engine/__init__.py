"""The public face: an engine, what it answers, and its settings."""

from __future__ import annotations

from batchflow.engine.config import EngineConfig
from batchflow.engine.engine import Engine
from batchflow.engine.open_engines import engines
from batchflow.engine.rehearsal import (
    Rehearsal,
    RehearsedFailure,
    RehearsedField,
    RehearsedMove,
)
from batchflow.engine.report import (
    BreakerReport,
    FailureReport,
    Report,
    StatusCount,
    StepReport,
)

__all__ = [
    "BreakerReport",
    "Engine",
    "EngineConfig",
    "FailureReport",
    "Rehearsal",
    "RehearsedFailure",
    "RehearsedField",
    "RehearsedMove",
    "Report",
    "StatusCount",
    "StepReport",
    "engines",
]
