from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from command_line import GATED, Command, Start, await_line, document

GUESTS = ["run", "gated_pipeline.py:guests", "--store", "guests.duckdb", "--workers", 1]


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_a_signal_stops_a_run_gracefully_and_the_same_command_continues_it(
    tmp_path: Path,
    command: Command,
    guests_at_gate: subprocess.Popen[str],
    number: signal.Signals,
    exit_code: int,
) -> None:
    guests_at_gate.send_signal(number)
    output, errors = guests_at_gate.communicate()
    assert guests_at_gate.returncode == exit_code
    assert output == ""
    assert "runs are left to execute (a stop was requested)" in errors
    assert "same command again" in errors
    assert "Traceback" not in errors

    (tmp_path / "go").touch()
    again = command(*GUESTS, "--workers", 0, "--json")
    assert again.returncode == 0, again.stderr
    assert [(e["status"], e["runs"]) for e in document(again)["report"]["statuses"]] == [
        ("INSIDE", 300)
    ]
    query = (
        "SELECT count(*) AS all, count(DISTINCT (seq, from_status)) AS once FROM guests.transitions"
    )
    result = document(command("sql", query, "--store", "guests.duckdb", "--json"))
    assert result == [{"all": 600, "once": 600}]


def test_a_signal_leaves_a_json_document(tmp_path: Path, start: Start) -> None:
    (tmp_path / "gated_pipeline.py").write_text(GATED)
    (tmp_path / "guests.csv").write_text("name\na\nb\n")
    process = start(*GUESTS, "--load", "guests.csv", "--foreign-id", "name", "--json")
    await_line(process, "at the gate")

    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()

    result = json.loads(output)
    assert (process.returncode, result["load"]["loaded"]) == (143, 2)
    assert (result["report"]["ended_by"], result["report"]["left"]) == ("stopped", 2)
    assert result["error"] == "A signal ended the command."


def test_committed_work_of_a_killed_run_can_be_queried(
    command: Command, guests_at_gate: subprocess.Popen[str]
) -> None:
    guests_at_gate.kill()
    guests_at_gate.communicate()
    result = document(command("status", "--store", "guests.duckdb", "--json"))
    assert [(row["status"], row["runs"]) for row in result] == [("AT_GATE", 300)]
