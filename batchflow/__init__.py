"""A multiprocessing batch engine for typed state machines, on columns in DuckDB.

Names are imported when they are first used: a worker process, which needs the chunk protocol alone,
starts in half the time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from batchflow import sources as sources
    from batchflow.access import Listen as Listen
    from batchflow.access import StoreClient as StoreClient
    from batchflow.access import connect as connect
    from batchflow.clock import Clock as Clock
    from batchflow.clock import SystemClock as SystemClock
    from batchflow.coordinator import Progress as Progress
    from batchflow.definition import UTC as UTC
    from batchflow.definition import Outcome as Outcome
    from batchflow.definition import Precision as Precision
    from batchflow.definition import Retry as Retry
    from batchflow.definition import RunState as RunState
    from batchflow.definition import Workflow as Workflow
    from batchflow.engine import Engine as Engine
    from batchflow.engine import EngineConfig as EngineConfig
    from batchflow.engine import Rehearsal as Rehearsal
    from batchflow.engine import Report as Report
    from batchflow.engine import engines as engines
    from batchflow.errors import BatchflowError as BatchflowError
    from batchflow.errors import CommitError as CommitError
    from batchflow.errors import ConflictError as ConflictError
    from batchflow.errors import DefinitionError as DefinitionError
    from batchflow.errors import DiskFullError as DiskFullError
    from batchflow.errors import EngineStateError as EngineStateError
    from batchflow.errors import ExportError as ExportError
    from batchflow.errors import ForkedStoreError as ForkedStoreError
    from batchflow.errors import InvalidOptionError as InvalidOptionError
    from batchflow.errors import InvalidRowsError as InvalidRowsError
    from batchflow.errors import LoadError as LoadError
    from batchflow.errors import MigrationError as MigrationError
    from batchflow.errors import PlotError as PlotError
    from batchflow.errors import QueryError as QueryError
    from batchflow.errors import ResourceError as ResourceError
    from batchflow.errors import RunNotFoundError as RunNotFoundError
    from batchflow.errors import RunUnreachableError as RunUnreachableError
    from batchflow.errors import SourceError as SourceError
    from batchflow.errors import StepCodeError as StepCodeError
    from batchflow.errors import StoreClosedError as StoreClosedError
    from batchflow.errors import StoreError as StoreError
    from batchflow.errors import StoreFormatError as StoreFormatError
    from batchflow.errors import StoreHeldError as StoreHeldError
    from batchflow.errors import WorkflowNotFoundError as WorkflowNotFoundError
    from batchflow.executor import Chunk as Chunk
    from batchflow.executor import ChunkResult as ChunkResult
    from batchflow.executor import Executor as Executor
    from batchflow.executor import ExecutorContext as ExecutorContext
    from batchflow.executor import ExecutorFactory as ExecutorFactory
    from batchflow.executor import Inline as Inline
    from batchflow.executor import LostChunk as LostChunk
    from batchflow.executor import ProcessPool as ProcessPool
    from batchflow.executor import RayExecutor as RayExecutor
    from batchflow.operation import ControlReport as ControlReport
    from batchflow.operation import ExportPart as ExportPart
    from batchflow.operation import ExportReport as ExportReport
    from batchflow.operation import LoadReport as LoadReport
    from batchflow.operation import PruneReport as PruneReport
    from batchflow.shards import Stores as Stores
    from batchflow.shards import shard_of as shard_of
    from batchflow.store import CheckReport as CheckReport
    from batchflow.store import PlottableRelation as PlottableRelation
    from batchflow.store import Relation as Relation
    from batchflow.store import RepairReport as RepairReport
    from batchflow.store import StoredRun as StoredRun
    from batchflow.store import repair as repair
    from batchflow.view import Answer as Answer
    from batchflow.view import Batch as Batch
    from batchflow.view import Run as Run
    from batchflow.view import StatusCodes as StatusCodes

_HOMES = {
    "batchflow.view": ("Answer", "Batch", "Run", "StatusCodes"),
    "batchflow.clock": ("Clock", "SystemClock"),
    "batchflow.coordinator": ("Progress",),
    "batchflow.definition": ("Outcome", "Precision", "Retry", "RunState", "UTC", "Workflow"),
    "batchflow.engine": ("engines", "Engine", "EngineConfig", "Rehearsal", "Report"),
    "batchflow.errors": (
        "BatchflowError",
        "CommitError",
        "ConflictError",
        "DefinitionError",
        "DiskFullError",
        "EngineStateError",
        "ExportError",
        "ForkedStoreError",
        "InvalidOptionError",
        "InvalidRowsError",
        "LoadError",
        "MigrationError",
        "PlotError",
        "QueryError",
        "ResourceError",
        "RunNotFoundError",
        "RunUnreachableError",
        "SourceError",
        "StepCodeError",
        "StoreClosedError",
        "StoreError",
        "StoreFormatError",
        "StoreHeldError",
        "WorkflowNotFoundError",
    ),
    "batchflow.executor": (
        "Chunk",
        "ChunkResult",
        "Executor",
        "ExecutorContext",
        "ExecutorFactory",
        "Inline",
        "LostChunk",
        "ProcessPool",
        "RayExecutor",
    ),
    "batchflow.access": ("Listen", "StoreClient", "connect"),
    "batchflow.operation": (
        "ControlReport",
        "ExportPart",
        "ExportReport",
        "LoadReport",
        "PruneReport",
    ),
    "batchflow.shards": ("Stores", "shard_of"),
    "batchflow.store": (
        "CheckReport",
        "PlottableRelation",
        "Relation",
        "RepairReport",
        "StoredRun",
        "repair",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "UTC",
    "Answer",
    "Batch",
    "BatchflowError",
    "CheckReport",
    "Chunk",
    "ChunkResult",
    "Clock",
    "CommitError",
    "ConflictError",
    "ControlReport",
    "DefinitionError",
    "DiskFullError",
    "Engine",
    "EngineConfig",
    "EngineStateError",
    "Executor",
    "ExecutorContext",
    "ExecutorFactory",
    "ExportError",
    "ExportPart",
    "ExportReport",
    "ForkedStoreError",
    "Inline",
    "InvalidOptionError",
    "InvalidRowsError",
    "Listen",
    "LoadError",
    "LoadReport",
    "LostChunk",
    "MigrationError",
    "Outcome",
    "PlotError",
    "PlottableRelation",
    "Precision",
    "ProcessPool",
    "Progress",
    "PruneReport",
    "QueryError",
    "RayExecutor",
    "Rehearsal",
    "Relation",
    "RepairReport",
    "Report",
    "ResourceError",
    "Retry",
    "Run",
    "RunNotFoundError",
    "RunState",
    "RunUnreachableError",
    "SourceError",
    "StatusCodes",
    "StepCodeError",
    "StoreClient",
    "StoreClosedError",
    "StoreError",
    "StoreFormatError",
    "StoreHeldError",
    "StoredRun",
    "Stores",
    "SystemClock",
    "Workflow",
    "WorkflowNotFoundError",
    "connect",
    "engines",
    "repair",
    "shard_of",
    "sources",
]


def __getattr__(name: str) -> object:
    if name == "sources":
        return import_module("batchflow.sources")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'batchflow' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
