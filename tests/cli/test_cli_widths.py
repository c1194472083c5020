"""Everything that ``status --watch``, ``errors`` and ``show`` print is complete at any width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from command_line import call, parcels_csv
from rich.cells import cell_len
from rich.console import Console
from terminal import Terminal

from batchflow.cli.status_watch import screen
from batchflow.cli.store_snapshot import StoreSnapshot

WIDTHS = [60, 80, 120]
MESSAGE = "the scale of 株式会社 shows " + " ".join(f"word{n}" for n in range(40)) + " \x1b[31m end"

PIPELINE = f"""
import enum
from dataclasses import dataclass
import batchflow as bf

class Stage(enum.Enum):
    WAITING_FOR_THE_SCALE = "w"
    WEIGHED = "d"

@dataclass
class Parcel:
    weight: int
    label_of_the_sender: str = {"long " * 40!r}

parcels = bf.Workflow("parcels", Parcel, Stage)

@parcels.step(Stage.WAITING_FOR_THE_SCALE, to=Stage.WEIGHED, retry=bf.Retry(pause_after=1))
def weigh(run):
    raise ValueError({MESSAGE!r})
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("widths")
    (folder / "pipeline.py").write_text(PIPELINE)
    parcels_csv(folder, [1])
    load = ("--load", "parcels.csv", "--foreign-id", "parcel_id", "--workers", 0)
    call(folder, "run", "pipeline.py:parcels", "--store", "parcels.duckdb", *load)
    return folder / "parcels.duckdb"


def printed(store: Path, columns: int, *arguments: object) -> str:
    """Return what a command prints on a terminal of this width."""
    before = f'unset COLUMNS; stty cols {columns} <"$0";'
    terminal = Terminal(store.parent, *arguments, "--store", store.name, before=before)
    try:
        assert terminal.process.wait(60) == 0
        terminal.await_text("end")
        return terminal.shown
    finally:
        terminal.close()


def words(text: str) -> Iterator[str]:
    yield from re.findall(r"\w+", text)


# Each width costs a process; the narrowest shows most.
@pytest.mark.parametrize("columns", [60, 120])
def test_errors_are_shown_whole(store: Path, columns: int) -> None:
    shown = printed(store, columns, "errors")

    joined = " ".join(shown.split())
    assert "parcels.weigh: 1 failure of 1 run, 1 still there (100.0% of the failed runs)" in joined
    assert "ValueError in weigh, pipeline.py:19: " in joined
    assert re.search(r"cause [0-9a-f]{12} first 20\S+ \S+ last 20", joined)
    assert "株式会社" in shown
    assert {f"word{n}" for n in range(40)} <= set(words(shown))
    assert "\\x1b[31m" in shown
    assert "\x1b" not in shown
    assert max(map(cell_len, shown.splitlines())) <= columns


@pytest.mark.parametrize("columns", [60])
def test_a_run_and_its_traceback_are_shown_whole(store: Path, columns: int) -> None:
    shown = printed(store, columns, "show", "p0", "--traceback")

    assert shown.count("long") == 40
    assert "WAITING_FOR_THE_SCALE → WAITING_FOR_THE_SCALE" in " ".join(shown.split())
    assert set(words(shown)) >= {"failed", "attempt", "weigh", "ValueError", "Traceback", "word39"}
    assert max(map(cell_len, shown.splitlines())) <= columns


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_watched_status_is_shown_whole(columns: int) -> None:
    states = {"INITIATED": 1_234_567, "RUNNING": 2_345_678, "PAUSED": 3_456, "CANCELLED": 12}
    counts = {"parcels": {"WAITING_FOR_THE_PAYMENT_PROVIDER": states, "WEIGHED": {}}}
    console = Console(width=columns, force_terminal=False)
    with console.capture() as captured:
        console.print(screen(Path("parcels.duckdb"), StoreSnapshot(datetime.now(UTC), counts)))

    shown = captured.get()
    assert "…" not in shown
    for expected in ("WAITING_FOR_THE_PAYMENT_PROVIDER", "WEIGHED", "UTC"):
        assert expected in shown
    for number in states.values():
        assert f"{number:,}" in shown


def test_json_has_the_traceback_on_request(store: Path) -> None:
    plain = call(store.parent, "errors", "--store", store.name, "--json").stdout
    more = call(store.parent, "errors", "--store", store.name, "--json", "--traceback").stdout

    assert "Traceback" not in plain
    assert "Traceback (most recent call last)" in more
