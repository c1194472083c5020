"""The commands about how runs move, and their plots."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Command, alone, document

QUESTIONS = {
    "ages": {"oldest", "age_seconds"},
    "durations": {"p50_seconds", "max_seconds"},
    "funnel": {"reached", "here", "left"},
    "throughput": {"bucket", "runs_per_second"},
    "transitions": {"from_status", "to_status", "outcome"},
}


@alone
def test_each_question_is_a_command_with_its_name(on_own_store: Command) -> None:
    for name, columns in QUESTIONS.items():
        rows = document(on_own_store(name, "--json"))
        assert rows
        assert {"workflow", *columns} <= set(rows[0])


def test_a_result_is_plotted_to_a_file(on_own_store: Command, tmp_path: Path) -> None:
    drawn = on_own_store("throughput", "--bucket", 3600, "--plot", "out.svg")

    assert (drawn.returncode, drawn.stdout) == (0, "")
    assert drawn.stderr == "Plot written to out.svg.\n"
    assert "parcels: runs per second" in (tmp_path / "out.svg").read_text()

    assert on_own_store("counts", "--plot", "out.png").returncode == 0
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["counts", "--plot", "out.pdf"], "'out.pdf' must end with .svg or .png"),
        (["status", "--plot", "out.svg", "--csv"], "Give only one of --plot, --json"),
        (["throughput", "--bucket", "0"], "x>0"),
    ],
)
def test_an_impossible_plot_is_a_usage_error(
    on_shared_store: Command, arguments: list[str], expected: str
) -> None:
    refused = on_shared_store(*arguments)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert expected in refused.stderr
