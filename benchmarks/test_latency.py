from __future__ import annotations

from pathlib import Path

from bench import Bench, seconds_of
from fresh_process import measure_in_fresh_process
from sample import Sample
from speed_table import Comparison, Row, Target

WAITING = 100
TRIGGERS = 50
MOST_MORE_SECONDS = 0.050
MOST_SECONDS = 0.050


def test_few_waiting_runs_among_many_finished_ones(bench: Bench) -> None:
    finished = _with_waiting(bench, bench.stores.finished_store(bench.sizes.finished))
    empty = _with_waiting(bench, None)

    among_many, alone = bench.alternate(
        lambda: bench.on_copy(finished, "engine_side", "run_opened", steps="row"),
        lambda: bench.on_copy(empty, "engine_side", "run_opened", steps="row"),
    )

    name = f"{WAITING} runs in a store with {bench.sizes.finished:,} finished ones, inline"
    target = Target(Comparison.MORE, MOST_MORE_SECONDS)
    bench.record(Row(name, target, seconds_of(among_many), seconds_of(alone)))
    opening = "opening that store"
    bench.record(Row(opening, Target(Comparison.NOTHING), _opened(among_many), _opened(alone)))


def _with_waiting(bench: Bench, original: Path | None) -> Path:
    store = bench.stores.fresh(original) if original else bench.stores.unused()
    source = str(bench.stores.source(WAITING))
    measure_in_fresh_process("engine_side", "load", {"source": source, "store": str(store)})
    return store


def _opened(samples: list[Sample]) -> list[float]:
    return [float(sample.facts["open_seconds"]) for sample in samples]


def test_one_trigger_and_wait_through_two_inline_steps(bench: Bench) -> None:
    (measured,) = bench.alternate(
        lambda: bench.on_new("engine_side", "trigger_and_wait", times=TRIGGERS)
    )

    target = Target(Comparison.ALONE, MOST_SECONDS)
    bench.record(Row("one trigger and wait through two inline steps", target, seconds_of(measured)))
