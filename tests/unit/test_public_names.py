"""The public names are listed here, and change only on purpose."""

from __future__ import annotations

import subprocess
import sys

import pytest

import batchflow as bf

PUBLIC = [
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
    "Relation",
    "Rehearsal",
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


def test_the_public_names_are_these() -> None:
    assert sorted(bf.__all__) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(bf, name) is not None
    assert name in dir(bf)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = bf.nothing_of_the_kind  # type: ignore[attr-defined]


@pytest.mark.parametrize("heavy", ["duckdb", "pyarrow", "numpy", "tqdm", "click", "ray"])
def test_importing_the_package_imports_nothing_heavy(heavy: str) -> None:
    code = f"import sys, batchflow; sys.exit({heavy!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_worker_never_imports_duckdb() -> None:
    names = "import batchflow.worker.main; from batchflow.testing import inline_engine"
    code = f"import sys; {names}; sys.exit('duckdb' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
