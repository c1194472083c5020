"""A terminal that is closed during a run: the run stops gracefully, or continues under nohup."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import GATED, Command, document
from terminal import Terminal

GUESTS = ["run", "gated_pipeline.py:guests", "--store", "guests.duckdb"]
ROWS = 300

Run = Callable[..., Terminal]


@pytest.fixture
def run_in_terminal(tmp_path: Path) -> Iterator[Run]:
    (tmp_path / "gated_pipeline.py").write_text(GATED)
    names = "".join(f"guest {number}\n" for number in range(ROWS))
    (tmp_path / "guests.csv").write_text(f"name\n{names}")
    opened: list[Terminal] = []

    def run(*more: object, before: str = "") -> Terminal:
        load = ("--load", "guests.csv", "--foreign-id", "name")
        opened.append(Terminal(tmp_path, *GUESTS, *load, *more, before=before))
        opened[-1].await_text("at the gate")
        return opened[-1]

    yield run
    for terminal in opened:
        terminal.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(terminal.process.pid, signal.SIGKILL)
        terminal.process.wait()


def assert_finished(folder: Path, command: Command) -> None:
    (folder / "go").touch()
    again = command(*GUESTS, "--workers", 0, "--json", "--wait-for-retries")
    assert again.returncode == 0, again.stderr
    # A print after the terminal was closed may have failed a step.
    query = (
        "SELECT count(*) AS all, count(DISTINCT (seq, from_status)) AS once "
        "FROM guests.transitions WHERE outcome = 'advanced'"
    )
    result = document(command("sql", query, "--store", "guests.duckdb", "--json"))
    assert result == [{"all": 2 * ROWS, "once": 2 * ROWS}]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_closed_terminal_stops_a_run_gracefully_and_the_same_command_continues_it(
    tmp_path: Path, command: Command, run_in_terminal: Run, workers: int
) -> None:
    terminal = run_in_terminal("--workers", workers)
    terminal.close()
    assert terminal.process.wait(60) == 128 + signal.SIGHUP
    assert not (tmp_path / "guests.duckdb.lock").exists()
    assert_finished(tmp_path, command)


def test_ctrl_c_on_a_terminal_stops_a_run_without_a_traceback(
    tmp_path: Path, command: Command, run_in_terminal: Run
) -> None:
    terminal = run_in_terminal("--workers", 1)
    os.write(terminal.master, b"\x03")
    terminal.await_text("same command again")
    assert terminal.process.wait(60) == 128 + signal.SIGINT
    assert "Traceback" not in terminal.shown
    assert_finished(tmp_path, command)


def test_under_nohup_a_run_continues_after_its_terminal_is_closed(
    tmp_path: Path, command: Command, run_in_terminal: Run
) -> None:
    terminal = run_in_terminal("--workers", 1, before="trap '' HUP;")
    terminal.close()
    (tmp_path / "go").touch()
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(60) in (0, 128 + signal.SIGTERM)
    assert_finished(tmp_path, command)
