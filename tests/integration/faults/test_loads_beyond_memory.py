"""Loads of more rows than fit into memory."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_process import in_own_process

import batchflow as bf

NOTE_CHARACTERS = 1_000
NOTES = 10
FEW, MANY = 15_000, 30_000
WRITTEN_AT_ONCE = 1_000
MORE_MB = (MANY - FEW) * NOTES * NOTE_CHARACTERS / 1e6
PEAK = "VmHWM:"


@dataclass
class Note:
    text: str
    number: int


@dataclass
class Patient:
    notes: list[Note]


class Status(enum.Enum):
    NEW = "new"
    DONE = "done"


def load_few(folder: Path) -> None:
    load(folder, FEW)


def load_many(folder: Path) -> None:
    load(folder, MANY)


def load(folder: Path, runs: int) -> None:
    each = [{"text": str(at) * NOTE_CHARACTERS, "number": at} for at in range(NOTES)]
    notes = pa.array([each] * WRITTEN_AT_ONCE, SCHEMA.field("notes").type)
    with pq.ParquetWriter(folder / "patients.parquet", SCHEMA) as writer:
        for first in range(0, runs, WRITTEN_AT_ONCE):
            ids = [f"p{first + at}" for at in range(WRITTEN_AT_ONCE)]
            writer.write_table(pa.table({"id": ids, "notes": notes}, SCHEMA))
    workflow = bf.Workflow("patients", Patient, Status)
    workflow.add_step(Status.NEW, lambda _: Status.DONE, Status.DONE)
    config = bf.EngineConfig(memory_limit="100MB")
    with bf.Engine(folder / "store.duckdb", workflow, workers=0, config=config) as engine:
        report = engine.trigger_many(folder / "patients.parquet", foreign_id="id")
    assert report.loaded == runs
    (folder / "peak_mb").write_text(str(peak_mb()))


SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "notes": pa.list_(pa.struct({"text": pa.string(), "number": pa.int64()})),
    }
)


def peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(PEAK))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_a_load_of_twice_the_rows_takes_hardly_more_memory(tmp_path: Path) -> None:
    few = peak_of(load_few, tmp_path / "few")
    many = peak_of(load_many, tmp_path / "many")

    # If the transaction kept the rows, the difference would be all of them.
    assert many - few < MORE_MB * 2 / 3


def peak_of(scenario: Callable[[Path], None], folder: Path) -> float:
    folder.mkdir()
    in_own_process(scenario, folder)
    return float((folder / "peak_mb").read_text())
