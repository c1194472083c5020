"""Stopping an engine from another process."""

from __future__ import annotations

import subprocess
from pathlib import Path

from command_line import Command, document

import batchflow as bf


def test_a_drain_is_stopped_gracefully(
    command: Command, guests_at_gate: subprocess.Popen[str]
) -> None:
    result = document(command("stop", "--store", "guests.duckdb", "--json"))
    assert result == {"stopping": True}
    output, errors = guests_at_gate.communicate()
    assert guests_at_gate.returncode == 4, errors
    assert "AT_GATE" in output
    assert "runs are left to execute (a stop was requested)" in output


def test_a_store_without_an_engine_exits_with_3(command: Command, own_parcels: Path) -> None:
    outcome = command("stop", "--store", own_parcels, "--json")
    assert (outcome.returncode, outcome.stdout) == (3, "")
    assert "No engine has the store open" in outcome.stderr


def test_an_idle_engine_exits_with_3(
    command: Command, own_parcels: Path, engine: bf.Engine
) -> None:
    outcome = command("stop", "--store", own_parcels)
    assert (outcome.returncode, outcome.stdout) == (3, "")
    assert "isn't executing steps" in outcome.stderr


def test_counts_and_status_print_the_same(on_own_store: Command) -> None:
    counted = document(on_own_store("counts", "--workflow", "parcels", "--json"))
    assert sum(row["runs"] for row in counted) == 22
    assert document(on_own_store("status", "--json")) == counted
