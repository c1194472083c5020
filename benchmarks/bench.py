"""What a benchmark has at hand: sizes, stores, samples taken in turn, the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from apart import measured_apart
from sample import Sample
from speed_table import Row
from stores import Stores

Work = Callable[[], Sample]


class MeasuredSeconds:
    """pytest-benchmark's clock: it goes on by what a sample took in its own process."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        """Tell the seconds so far."""
        return self._seconds

    def add(self, seconds: float) -> None:
        """Let so much time pass."""
        self._seconds += seconds


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        runs: runs in a store.
        finished: finished runs that lie beside the few that wait.
        rounds: how often each is measured, in turn with its floor.
        workers: processes, on both sides.
        large: whether to measure sixteen times `runs` too.
    """

    runs: int
    finished: int
    rounds: int
    workers: int
    large: bool


@dataclass(frozen=True)
class Bench:
    """One benchmark's surroundings."""

    sizes: Sizes
    stores: Stores
    table: list[Row]
    clock: MeasuredSeconds
    benchmark: BenchmarkFixture

    def in_turn(self, measured: Work, *others: Work) -> list[list[Sample]]:
        """Take samples of several works in turn; pytest-benchmark's statistics are of the first."""
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

    def on_copy(
        self,
        original: Path,
        module: str,
        function: str,
        *,
        watch_workers: bool = False,
        **arguments: str | int,
    ) -> Sample:
        """Measure on a copy of a store, which is removed afterwards."""
        store = self.stores.fresh(original)
        try:
            return measured_apart(
                module, function, {"store": str(store), **arguments}, watch_workers=watch_workers
            )
        finally:
            self.stores.drop(store)

    def on_new(self, module: str, function: str, **arguments: str | int) -> Sample:
        """Measure with a store that isn't there yet, and is removed afterwards."""
        store = self.stores.unused()
        try:
            return measured_apart(module, function, {"store": str(store), **arguments})
        finally:
            self.stores.drop(store)

    def record(self, row: Row) -> None:
        """Put a row into the printed table and into the JSON."""
        self.table.append(row)
        self.benchmark.extra_info.setdefault("rows", []).append(row.cells())


def seconds_of(samples: list[Sample]) -> list[float]:
    """Answer the time of each sample."""
    return [sample.seconds for sample in samples]
