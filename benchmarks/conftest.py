"""Options, fixtures and the printed table of the benchmarks."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import machine
from bench import Bench, MeasuredSeconds, Sizes
from speed_table import Row, markdown
from stores import Stores

CLOCK = pytest.StashKey[MeasuredSeconds]()
TABLE = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("batchflow benchmarks")
    group.addoption("--runs", type=int, default=1_000_000, help="runs in a store")
    group.addoption(
        "--finished", type=int, default=10_000_000, help="finished runs in a store with 100 others"
    )
    group.addoption("--rounds", type=int, default=5, help="how often each work is measured")
    group.addoption(
        "--workers", type=int, default=2, help="processes, of batchflow and of the baseline"
    )
    group.addoption("--large", action="store_true", help="measure sixteen times --runs too")
    group.addoption("--huge", action="store_true", help="measure a hundred times --runs, once")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[CLOCK] = MeasuredSeconds()
    config.stash[TABLE] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.benchmark(timer=config.stash[CLOCK]))


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    machine_info["batchflow"] = _facts(config)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash[TABLE]
    if not rows:
        return
    facts = ", ".join(f"{name} {value}" for name, value in _facts(config).items())
    terminalreporter.section("speed: medians of alternating rounds")
    terminalreporter.write_line(markdown(rows))
    terminalreporter.write_line(f"\n{datetime.now(UTC):%Y-%m-%d}: {facts}")


def _facts(config: pytest.Config) -> dict[str, str]:
    folder = config.option.basetemp or tempfile.gettempdir()
    return machine.facts(Path(folder).resolve())


@pytest.fixture(scope="session")
def sizes(request: pytest.FixtureRequest) -> Sizes:
    option = request.config.option
    return Sizes(
        option.runs, option.finished, option.rounds, option.workers, option.large, option.huge
    )


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    return Stores(tmp_path_factory.mktemp("stores"))


@pytest.fixture
def bench(
    request: pytest.FixtureRequest, sizes: Sizes, stores: Stores, benchmark: BenchmarkFixture
) -> Bench:
    stash = request.config.stash
    return Bench(sizes, stores, stash[TABLE], stash[CLOCK], benchmark)
