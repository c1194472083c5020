"""Sources and loaded stores, made once per session and copied for each measurement."""

from __future__ import annotations

import os
import shutil
from functools import cache
from itertools import count
from pathlib import Path

import orders
import shipments
from fresh_process import measure_in_fresh_process


class Stores:
    """Make the sources and stores that measurements start from, before their clock starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self.source = cache(self._write_source)
        self.scattered_source = cache(self._write_scattered_source)
        self.nested_source = cache(self._write_nested_source)
        self.engine_store = cache(self._load_engine_store)
        self.finished_store = cache(self._finish_engine_store)

    def _write_source(self, runs: int) -> Path:
        path = self._folder / f"orders-{runs}.parquet"
        orders.write_orders(path, runs)
        return path

    def _write_scattered_source(self, runs: int) -> Path:
        path = self._folder / f"scattered-{runs}.parquet"
        orders.write_orders(path, runs, scattered=True)
        return path

    def _write_nested_source(self, runs: int, scans: int) -> Path:
        path = self._folder / f"shipments-{runs}-{scans}.parquet"
        shipments.write_shipments(path, runs, scans)
        return path

    def _load_engine_store(self, runs: int) -> Path:
        path = self._folder / f"engine-{runs}.duckdb"
        self._prepare("engine_side", "load", path, source=str(self.source(runs)))
        return path

    def _finish_engine_store(self, runs: int) -> Path:
        path = self.fresh(self.engine_store(runs))
        self._prepare("engine_side", "run", path, steps="sql", workers=0)
        return path

    @staticmethod
    def _prepare(module: str, function: str, store: Path, **arguments: str | int) -> None:
        measure_in_fresh_process(module, function, {"store": str(store), **arguments})

    def unused(self) -> Path:
        """Return the path of a store that doesn't exist yet."""
        return self._folder / f"store-{next(self._numbers)}.duckdb"

    def fresh(self, original: Path) -> Path:
        """Copy a store whose process has ended, write the copy to the disk and return its path."""
        copy = self.unused()
        shutil.copy(original, copy)
        with copy.open("rb+") as file:
            os.fsync(file.fileno())
        return copy

    def drop(self, store: Path) -> None:
        """Remove a store and the files beside it."""
        for path in store.parent.glob(f"{store.name}*"):
            path.unlink()
