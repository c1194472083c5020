"""A command in a process of its own: the exit code and the streams as a shell sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import call_process, document

STORE = ["--store", "parcels.duckdb"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "expected"),
    [
        (["run", "parcel_pipeline.py:parcels", *STORE, "--workers", 0, "--json"], 1, "imported"),
        (["status", "--store", "missing.duckdb"], 2, "does not exist"),
        (["runs", "--where", "mass > 1", *STORE], 3, "weight"),
    ],
)
def test_the_process_ends_with_the_exit_code_of_its_command(
    parcels_folder: Path, arguments: list[object], exit_code: int, expected: str
) -> None:
    outcome = call_process(parcels_folder, *arguments)
    assert outcome.returncode == exit_code
    assert expected in outcome.stderr
    if exit_code == 1:
        assert document(outcome)["report"]["paused"] == 1
    else:
        assert outcome.stdout == ""


def test_the_environment_names_the_store(parcels_folder: Path) -> None:
    outcome = call_process(parcels_folder, "counts", "--json", BATCHFLOW_STORE="parcels.duckdb")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert sum(row["runs"] for row in document(outcome)) == 22
