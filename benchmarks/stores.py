"""Sources and loaded stores, made once a session and copied for each measurement."""

from __future__ import annotations

import os
import shutil
from functools import cache
from itertools import count
from pathlib import Path

import orders
from apart import measured_apart


class Stores:
    """Makes what a measurement starts from, off its clock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self.source = cache(self._write_source)
        self.engine_store = cache(self._load_engine_store)
        self.finished_store = cache(self._finish_engine_store)

    def _write_source(self, runs: int) -> Path:
        path = self._folder / f"orders-{runs}.parquet"
        orders.write_orders(path, runs)
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
        measured_apart(module, function, {"store": str(store), **arguments})

    def unused(self) -> Path:
        """Name a store that isn't there yet."""
        return self._folder / f"store-{next(self._numbers)}.duckdb"

    def fresh(self, original: Path) -> Path:
        """Copy a store whose process has ended; on the disk before it is handed out."""
        copy = self.unused()
        shutil.copy(original, copy)
        with copy.open("rb+") as file:
            os.fsync(file.fileno())
        return copy

    def drop(self, store: Path) -> None:
        """Remove a store and what lies beside it."""
        for path in store.parent.glob(f"{store.name}*"):
            path.unlink()
