"""Measure what the file of a store costs: its creation, a load of few rows, a question.

    python benchmarks/store_files.py --files=64

The seconds are those of the processor, as other programs of the machine hardly change them. The
time that a disk takes to make a file durable comes on top.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

import batchflow as bf
from spinning import spinning_orders

ROWS = 200


def measure(files: int, folder: Path) -> None:
    """Print what each work costs per file."""
    workflow, rows = spinning_orders(1), pa.table({"number": range(ROWS)})
    path = folder / "night-{shard}.duckdb"

    def engines() -> None:
        for number in range(files):
            bf.Engine(folder / f"single-{number}.duckdb", workflow, workers=0).close()

    # What a process does once.
    warm = bf.Stores(folder / "warm-{shard}.duckdb", workflow, shards=1)
    warm.trigger_many(rows, foreign_id="number")
    warm.counts().fetchall()

    show(files, "create a set of shards", lambda: bf.Stores(path, workflow, shards=files))
    show(files, "open a set", lambda: bf.Stores(path))
    stores = bf.Stores(path)
    show(files, f"load {ROWS} rows", lambda: stores.trigger_many(rows, foreign_id="number"))
    show(files, "counts()", lambda: stores.counts().fetchall())
    show(files, "create a store with an engine, and close it", engines)
    show(files, "open that store, and close it", engines)


def show(files: int, what: str, work: Callable[[], object]) -> None:
    """Print the processor's time of a work, per file."""
    began = time.process_time()
    work()
    each = (time.process_time() - began) / files
    print(f"| {what} | {each * 1_000:.0f} ms |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=64)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        measure(given.files, Path(folder))
