"""Help texts and shell completion."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import Command, document, environment

from batchflow.cli.group import batchflow


@pytest.mark.parametrize("name", sorted(batchflow.commands))
def test_the_help_of_each_command_has_an_example(name: str) -> None:
    result = CliRunner().invoke(batchflow, [name, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"batchflow {name} " in result.output.partition("Example")[2]


def test_a_run_can_end_at_a_time_of_day(parcels_folder: Path, on_shared_store: Command) -> None:
    taken = on_shared_store(
        "run", "parcel_pipeline.py:parcels", "--workers", 0, "--json",
        "--until", "06:00", "--no-wait-for-retries",
    )  # fmt: skip
    assert document(taken)["report"]["paused"] == 1
    refused = on_shared_store("run", "parcel_pipeline.py:parcels", "--until", "26:00")
    assert refused.returncode == 2
    assert "Give HH:MM" in refused.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed_for_each_shell(command: Command, shell: str) -> None:
    outcome = command("completion", shell)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert f"_BATCHFLOW_COMPLETE={shell}_complete" in outcome.stdout


def test_bash_completes_commands_with_the_script(command: Command, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    (tmp_path / "batchflow").write_text(f'#!/bin/sh\nexec {sys.executable} -m batchflow "$@"\n')
    (tmp_path / "batchflow").chmod(0o755)
    (tmp_path / "completion.bash").write_text(command("completion", "bash").stdout)
    completion = (
        "source completion.bash; COMP_WORDS=(batchflow expo); COMP_CWORD=1; "
        "_batchflow_completion ./batchflow; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        [bash, "--norc", "-c", completion],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout == "export\n", done.stderr


def test_the_help_lists_each_command_once_by_purpose_with_its_first_line() -> None:
    printed = CliRunner().invoke(batchflow, ["--help"], terminal_width=200).output
    for name, command in batchflow.commands.items():
        first_line = (command.help or "").splitlines()[0]
        assert first_line.endswith(".")
        lines = [line.split(maxsplit=1) for line in printed.splitlines()]
        assert lines.count([name, first_line]) == 1, name


def test_the_help_imports_nothing_heavy() -> None:
    heavy = {"duckdb", "numpy", "pyarrow", "fsspec"}
    code = f"import sys, batchflow.cli.group; sys.exit(bool({heavy!r} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
