"""A closed pipe or a full disk as output: no traceback and no hang."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from command_line import arguments_of, environment
from in_process import call_in_process

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


def normal_exit_code(arguments: list[str]) -> int:
    """One of the runs is paused and one waits, which `run` reports with its exit code."""
    return 1 if arguments[0] == "run" and "--help" not in arguments else 0


Execute: TypeAlias = Callable[[Path, list[str], int], tuple[int, str]]
"""Execute a command with a descriptor as stdout; return the exit code and the text on stderr."""


def in_process(folder: Path, arguments: list[str], stdout: int) -> tuple[int, str]:
    done = call_in_process(folder, arguments, environment(), stdout)
    return done.returncode, done.stderr.decode()


def in_own_process(folder: Path, arguments: list[str], stdout: int) -> tuple[int, str]:
    done = subprocess.run(
        arguments_of(tuple(arguments)),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.decode()


def assert_quiet_without_a_reader(execute: Execute, folder: Path, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code, errors = execute(folder, arguments, writing)
    os.close(writing)
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
    assert code == normal_exit_code(arguments)


def assert_full_disk_reported(execute: Execute, folder: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        code, errors = execute(folder, arguments, full.fileno())
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].endswith("can't be written: No space left on device.")
    assert code == 3


@pytest.mark.parametrize("arguments", WRITING, ids=name_of)
def test_a_closed_pipe_is_no_error(parcels_folder: Path, arguments: list[str]) -> None:
    assert_quiet_without_a_reader(in_process, parcels_folder, arguments)


# Python flushes its streams once more when a process ends; a table, a stream and Parquet differ.
@pytest.mark.parametrize("arguments", [["--help"], MUCH, PARQUET], ids=name_of)
def test_a_process_with_a_closed_pipe_ends_without_an_error(
    parcels_folder: Path, arguments: list[str]
) -> None:
    assert_quiet_without_a_reader(in_own_process, parcels_folder, arguments)


@pytest.mark.parametrize("arguments", [["--help"], MUCH, CSV, PARQUET, RUN], ids=name_of)
def test_a_full_disk_for_the_output_is_reported_in_one_line(
    parcels_folder: Path, arguments: list[str]
) -> None:
    assert_full_disk_reported(in_process, parcels_folder, arguments)


def test_a_process_with_a_full_disk_for_the_output_reports_it_in_one_line(
    parcels_folder: Path,
) -> None:
    assert_full_disk_reported(in_own_process, parcels_folder, CSV)


@pytest.mark.parametrize(
    ("closed", "arguments"),
    [("1>&-", ["status", *STORE]), ("0<&- 1>&- 2>&-", RUN)],
    ids=["status", "run"],
)
def test_streams_that_are_closed_at_the_start_are_no_error_and_damage_no_store(
    parcels_folder: Path, closed: str, arguments: list[str]
) -> None:
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *arguments_of(tuple(arguments))]
    process = subprocess.run(
        shell, cwd=parcels_folder, env=environment(), capture_output=True, timeout=60, check=False
    )
    assert b"Traceback" not in process.stderr
    assert process.returncode == normal_exit_code(arguments)
    again = call_in_process(parcels_folder, ["status", *STORE], environment())
    assert (again.returncode, again.stderr) == (0, b"")
