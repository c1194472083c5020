from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import GATED, Command, Outcome, Start, await_line, begin, call, load_parcels

import batchflow as bf


@pytest.fixture
def command(tmp_path: Path) -> Command:
    def in_folder(*arguments: object, **variables: str) -> Outcome:
        return call(tmp_path, *arguments, **variables)

    return in_folder


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def in_folder(*arguments: object) -> subprocess.Popen[str]:
        started.append(begin(tmp_path, *arguments))
        return started[-1]

    yield in_folder
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def guests_at_gate(tmp_path: Path, start: Start) -> subprocess.Popen[str]:
    """Start a run of 300 guests, and return while its second step is executing."""
    (tmp_path / "gated_pipeline.py").write_text(GATED)
    names = "".join(f"guest {number}\n" for number in range(300))
    (tmp_path / "guests.csv").write_text(f"name\n{names}")
    process = start(
        "run", "gated_pipeline.py:guests", "--store", "guests.duckdb",
        "--load", "guests.csv", "--foreign-id", "name", "--workers", 1,
    )  # fmt: skip
    await_line(process, "at the gate")
    return process


@pytest.fixture(scope="session")
def parcels_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a store: 19 runs are sent, one refused, one waits and one is paused."""
    folder = tmp_path_factory.mktemp("parcels")
    outcome = load_parcels(folder, [*range(20), -1, -2])
    assert outcome.returncode == 1, outcome.stderr
    return folder


@pytest.fixture
def on_shared_store(parcels_folder: Path) -> Command:
    """Execute a command on that store, which the environment names."""

    def in_folder(*arguments: object) -> Outcome:
        return call(parcels_folder, *arguments, BATCHFLOW_STORE="parcels.duckdb")

    return in_folder


@pytest.fixture
def own_parcels(tmp_path: Path, parcels_folder: Path) -> Path:
    """Return a copy of that store for one test, without its code."""
    return Path(shutil.copy(parcels_folder / "parcels.duckdb", tmp_path))


@pytest.fixture
def engine(own_parcels: Path, parcels_folder: Path) -> Iterator[bf.Engine]:
    """Return an engine in this process that has that copy open."""
    spec = importlib.util.spec_from_file_location(
        "attended_pipeline", parcels_folder / "parcel_pipeline.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with bf.Engine(own_parcels, module.parcels, workers=0) as engine:
        yield engine


@pytest.fixture(params=["alone", "beside an engine"])
def on_own_store(request: pytest.FixtureRequest, own_parcels: Path, command: Command) -> Command:
    """Execute a command on a copy of that store, without and with a running engine."""
    if request.param == "beside an engine":
        request.getfixturevalue("engine")

    def about_store(*arguments: object) -> Outcome:
        return command(*arguments, BATCHFLOW_STORE=str(own_parcels))

    return about_store
