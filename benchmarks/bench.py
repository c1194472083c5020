"""The parts of a benchmark: sizes, stores, samples in alternation, and the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from fresh_process import measure_in_fresh_process
from sample import Sample
from speed_table import Row
from stores import Stores

Work = Callable[[], Sample]


class MeasuredSeconds:
    """The clock of pytest-benchmark, advanced by the time that a sample took in its own process."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds so far."""
        return self._seconds

    def add(self, seconds: float) -> None:
        """Advance the clock."""
        self._seconds += seconds


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        runs: The number of runs in a store.
        finished: The number of finished runs in a store with few others.
        rounds: How often each work is measured, in alternation with its baseline.
        workers: The number of processes, of batchflow and of the baseline.
        large: Whether to measure sixteen times `runs` too.
        huge: Whether to measure a hundred times `runs`, once.
    """

    runs: int
    finished: int
    rounds: int
    workers: int
    large: bool
    huge: bool


@dataclass(frozen=True)
class Bench:
    """The sizes, stores and table of one benchmark."""

    sizes: Sizes
    stores: Stores
    table: list[Row]
    clock: MeasuredSeconds
    benchmark: BenchmarkFixture

    def alternate(self, measured: Work, *others: Work) -> list[list[Sample]]:
        """Take samples of several works in alternation; pytest-benchmark reports the first work."""
        samples: list[list[Sample]] = [[] for _ in (measured, *others)]

        def take_others() -> None:
            for taken, work in zip(samples[1:], others, strict=True):
                taken.append(work())

        def take_measured() -> None:
            samples[0].append(measured())
            self.clock.add(samples[0][-1].seconds)

        self.benchmark.pedantic(take_measured, setup=take_others, rounds=self.sizes.rounds)
        self.benchmark.extra_info["samples"] = [
            [asdict(sample) for sample in taken] for taken in samples
        ]
        return samples

    def once(self, measured: Work) -> Sample:
        """Take a single sample."""
        taken: list[Sample] = []

        def take() -> None:
            taken.append(measured())
            self.clock.add(taken[0].seconds)

        self.benchmark.pedantic(take, rounds=1)
        self.benchmark.extra_info["samples"] = [[asdict(taken[0])]]
        return taken[0]

    def on_copy(
        self,
        original: Path,
        module: str,
        function: str,
        *,
        watch_workers: bool = False,
        **arguments: str | int,
    ) -> Sample:
        """Return a sample measured on a copy of a store, which is removed afterwards."""
        store = self.stores.fresh(original)
        try:
            return measure_in_fresh_process(
                module, function, {"store": str(store), **arguments}, watch_workers=watch_workers
            )
        finally:
            self.stores.drop(store)

    def on_new(self, module: str, function: str, **arguments: str | int) -> Sample:
        """Return a sample measured on a new store, which is removed afterwards."""
        store = self.stores.unused()
        try:
            return measure_in_fresh_process(module, function, {"store": str(store), **arguments})
        finally:
            self.stores.drop(store)

    def record(self, row: Row) -> None:
        """Add a row to the printed table and to the JSON."""
        self.table.append(row)
        self.benchmark.extra_info.setdefault("rows", []).append(row.cells())


def seconds_of(samples: list[Sample]) -> list[float]:
    """Return the time of each sample."""
    return [sample.seconds for sample in samples]
