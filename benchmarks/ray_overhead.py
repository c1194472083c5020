"""Compare a drain on two nodes of a Ray cluster with a local pool of two processes.

The cluster is the one that RAY_ADDRESS names. For two nodes on this machine, with one core each::

    ray start --head --port=6399 --num-cpus=1
    ray start --address=127.0.0.1:6399 --num-cpus=1
    RAY_ADDRESS=127.0.0.1:6399 python benchmarks/ray_overhead.py

Both drain in turns, so that other programs on the machine slow both. Nodes and workers have started
before the time is taken.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Iterator

import batchflow as bf
from spinning import spinning_orders

# The runs of a drain, by the microseconds of its step: a few seconds of work each.
_RUNS = {1: 1_000_000, 10: 300_000, 100: 40_000, 1_000: 4_000}


class Drained:
    """An engine whose workers have started, to be drained again and again."""

    def __init__(self, executor: bf.ExecutorFactory, microseconds: int) -> None:
        self._engine = bf.Engine(":memory:", spinning_orders(microseconds), executor=executor)
        self._loaded = 0
        # Until all workers have started and the size of chunks is found.
        for _ in range(2):
            self.seconds(_RUNS[microseconds] // 4)

    def seconds(self, runs: int) -> float:
        """Return how long a drain of so many new runs takes."""
        numbers = f"range({self._loaded}, {self._loaded + runs})"
        self._loaded += runs
        self._engine.trigger_many(f"SELECT range AS number FROM {numbers}", foreign_id="number")
        began = time.perf_counter()
        self._engine.run(progress=False)
        return time.perf_counter() - began

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


def pairs(microseconds: int, rounds: int) -> Iterator[tuple[float, float]]:
    """Yield the seconds of a drain on Ray, and those of one right after it with a local pool."""
    runs = _RUNS[microseconds]
    with (
        contextlib.closing(Drained(bf.RayExecutor(nodes=2, workers=1), microseconds)) as on_ray,
        contextlib.closing(Drained(bf.ProcessPool(2), microseconds)) as here,
    ):
        for _ in range(rounds):
            yield on_ray.seconds(runs), here.seconds(runs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("| step, µs per run | runs | local pool, runs/s | two Ray nodes, runs/s | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for microseconds, runs in _RUNS.items():
        found = list(pairs(microseconds, rounds))
        on_ray, here = (statistics.median(times) for times in zip(*found, strict=True))
        ratio = statistics.median(ray / local for ray, local in found)
        print(
            f"| {microseconds:,} | {runs:,} | {runs / here:,.0f} | {runs / on_ray:,.0f} | "
            f"{ratio:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
