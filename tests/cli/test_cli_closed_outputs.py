"""Whoever reads has gone, or can't take any more: never a traceback, never a hang."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command_line import arguments_of, environment

STORE = ["--store", "parcels.duckdb"]
PARCELS = ["parcel_pipeline.py:parcels", *STORE]
MUCH = ["sql", *STORE, "--json", "FROM range(1000000)"]
CSV = ["sql", *STORE, "--csv", "FROM range(1000000)"]
PARQUET = ["sql", *STORE, "FROM range(1000000)", "--parquet", "-"]
RUN = ["run", *PARCELS, "--workers", "0", "--json"]
WRITING = [
    ["--help"],
    ["status", *STORE],
    ["sql", *STORE, "SELECT range, repeat('x', 1000) FROM range(20000)"],
    MUCH,
    CSV,
    PARQUET,
    ["diagram", PARCELS[0]],
    RUN,
    ["pause", *PARCELS, "--where", "weight = 99"],
]


def name_of(arguments: list[str]) -> str:
    return "-".join(word for word in arguments[:1] + arguments[-1:] if word.isascii())[:40]


def code_where_all_is_well(arguments: list[str]) -> int:
    """One of the runs is paused and one waits, which `run` says with its exit code."""
    return 1 if arguments[0] == "run" and "--help" not in arguments else 0


def ended(folder: Path, arguments: list[str], **descriptors: Any) -> tuple[int, str]:
    """Answer the exit code and what was said on stderr."""
    process = subprocess.run(
        arguments_of(tuple(arguments)),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        **{"stderr": subprocess.PIPE, **descriptors},
    )
    return process.returncode, (process.stderr or b"").decode()


@pytest.mark.parametrize("arguments", WRITING, ids=name_of)
def test_a_reader_that_has_gone_is_no_error(parcels_folder: Path, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code, errors = ended(parcels_folder, arguments, stdout=writing)
    os.close(writing)
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
    assert code == code_where_all_is_well(arguments)


@pytest.mark.parametrize("arguments", [["--help"], MUCH, CSV, PARQUET, RUN], ids=name_of)
def test_a_full_disk_for_the_output_is_said_in_one_line(
    parcels_folder: Path, arguments: list[str]
) -> None:
    with Path("/dev/full").open("wb") as full:
        code, errors = ended(parcels_folder, arguments, stdout=full)
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].endswith("can't be written: No space left on device.")
    assert code == 3


@pytest.mark.parametrize("closed", ["1>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize("arguments", [["status", *STORE], RUN], ids=name_of)
def test_streams_that_were_closed_before_are_no_error_and_spoil_no_store(
    parcels_folder: Path, arguments: list[str], closed: str
) -> None:
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *arguments_of(tuple(arguments))]
    process = subprocess.run(
        shell, cwd=parcels_folder, env=environment(), capture_output=True, timeout=60, check=False
    )
    assert b"Traceback" not in process.stderr
    assert process.returncode == code_where_all_is_well(arguments)
    assert ended(parcels_folder, ["status", *STORE], stdout=subprocess.DEVNULL) == (0, "")
