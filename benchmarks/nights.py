"""Simulate nights that load a million runs, finish them and prune old ones; show the file's size.

python benchmarks/nights.py --nights=30 --runs=1000000 --kept-nights=3
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import batchflow as bf
import orders
from batchflow.testing import FakeClock
from memory import peak_mb_of

NIGHT = timedelta(days=1)
# One order in a thousand is paused and never finishes. It stays when its neighbours are pruned.
PAUSED = "hash(order_id) % 1000 = 0"
WORKFLOWS = {"sql": orders.sql_orders, "batch": orders.batch_orders}
TITLES = ("night", "runs left", "removed", "MB before", "MB after", "free", "night s", "prune s")
WIDTHS = (5, 11, 10, 10, 9, 5, 8, 8)


@dataclass(frozen=True)
class Night:
    """The result of one night; sizes are of the file and its log."""

    runs_left: int
    pruned: bf.PruneReport
    free_share: float
    seconds: float
    prune_seconds: float

    def line(self, number: int) -> str:
        """Return the night's line of the table."""
        before, after = (
            f"{size / 1e6:.0f}" for size in (self.pruned.bytes_before, self.pruned.bytes_after)
        )
        cells = (
            f"{number}",
            f"{self.runs_left:,}",
            f"{self.pruned.runs:,}",
            before,
            after,
            f"{self.free_share:.0%}",
            f"{self.seconds:.1f}",
            f"{self.prune_seconds:.2f}",
        )
        return aligned(cells)


def main() -> None:
    """Simulate all nights and print their table."""
    given = options()
    print(aligned(TITLES))
    with tempfile.TemporaryDirectory(prefix="nights-", dir=given.folder) as folder:
        for number, night in enumerate(nights(given, Path(folder)), start=1):
            print(night.line(number), flush=True)
    print(f"peak memory: {peak_mb_of('self'):.0f} MB")


def nights(given: argparse.Namespace, folder: Path) -> Iterator[Night]:
    """Yield one night after the other, each in an engine of its own, as started by cron."""
    source, clock = folder / "orders.parquet", FakeClock()
    orders.write_orders(source, given.runs)
    workflow = WORKFLOWS[given.steps]()
    for number in range(given.nights):
        with bf.Engine(folder / "orders.duckdb", workflow, workers=0, clock=clock) as engine:
            yield night(engine, source, number, given.kept_nights)
        clock.advance(NIGHT.total_seconds())


def night(engine: bf.Engine, source: Path, number: int, kept_nights: int) -> Night:
    """Load, drain, and prune the runs that finished before the nights that are kept."""
    with timed() as working:
        query = f"SELECT * REPLACE ('{number}-' || order_id AS order_id) FROM '{source}'"
        engine.trigger_many(query, foreign_id="order_id")
        engine.pause(f"run_state = 'INITIATED' AND {PAUSED}")
        engine.run(progress=False)
    with timed() as pruning:
        pruned = engine.prune(kept_nights * NIGHT - NIGHT / 2, forget=True)
    [(left,)] = engine.sql("SELECT count(*) FROM orders.runs").fetchall()
    [(free,)] = engine.sql(
        "SELECT free_blocks / total_blocks FROM pragma_database_size() "
        "WHERE database_name = current_database()"
    ).fetchall()
    return Night(left, pruned, free, working[0], pruning[0])


@contextmanager
def timed() -> Iterator[list[float]]:
    """Yield a list that receives the seconds at the end of the block."""
    seconds: list[float] = []
    began = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - began)


def aligned(cells: tuple[str, ...]) -> str:
    """Return a line of right-aligned cells."""
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))


def options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--runs", type=int, default=1_000_000, help="runs loaded each night")
    parser.add_argument(
        "--kept-nights", type=int, default=3, help="nights whose finished runs stay"
    )
    parser.add_argument("--steps", choices=WORKFLOWS, default="sql")
    parser.add_argument("--folder", type=Path, help="folder of the store, on the disk to measure")
    return parser.parse_args()


if __name__ == "__main__":
    main()
