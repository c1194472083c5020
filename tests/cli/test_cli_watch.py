"""``status --watch``, on a terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Command
from terminal import Terminal

Watch = Callable[..., Terminal]

UP = "\x1b[1A"


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    opened: list[Terminal] = []

    def begin(store: str) -> Terminal:
        opened.append(Terminal(tmp_path, "status", "--store", store, "--watch", 0.1))
        return opened[-1]

    yield begin
    for terminal in opened:
        terminal.process.kill()
        terminal.process.wait()
        terminal.close()


def test_a_run_is_watched_until_it_ends(
    command: Command, guests_at_gate: subprocess.Popen[str], watch: Watch
) -> None:
    watching = watch("guests.duckdb")
    watching.await_text("an engine is running")
    watching.await_text("0 of 300 runs finished; ")
    watching.await_text("left at most")

    assert command("stop", "--store", "guests.duckdb").returncode == 0
    watching.await_text("no engine is running")
    guests_at_gate.communicate()

    watching.shown = ""
    watching.await_text("AT_GATE")
    watching.press_ctrl_c()
    assert watching.process.wait() == 0
    assert UP in watching.shown


def test_watching_a_file_that_is_no_store_ends(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "other.duckdb").write_text("not a store")
    watching = watch("other.duckdb")
    watching.await_text("is not a batchflow store")

    assert watching.process.wait() == 3


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], "the output isn't one"),
        (["--json"], "Leave out --json"),
        (["0.001"], "0.1"),
    ],
)
def test_watching_needs_a_terminal(
    on_shared_store: Command, more: list[str], expected: str
) -> None:
    refused = on_shared_store("status", "--watch", *more)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert expected in refused.stderr
