"""The documentation of the command line agrees with the command line."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import click
import pytest

from batchflow.cli.exit_code import ExitCode
from batchflow.cli.group import batchflow
from batchflow.engine import Report
from batchflow.operation import LoadReport

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def commands_in(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    inline = re.findall(r"`(batchflow [a-z][^`]* --[^`]*)`", text)
    return [line for line in [*blocks.splitlines(), *inline] if line.startswith("batchflow ")]


COMMANDS = [(page.name, line) for page in PAGES for line in commands_in(page)]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_each_command_is_one_that_the_command_line_takes(page: str, line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    command = batchflow.commands[name]
    # The parser alone knows options and arguments, and looks at no value.
    command.make_parser(click.Context(command)).parse_args(arguments)


def test_an_unknown_option_is_recognised() -> None:
    with pytest.raises(click.NoSuchOption):
        test_each_command_is_one_that_the_command_line_takes("", "batchflow runs --wheer x")


def rows_of(page: str, heading: str) -> list[str]:
    """Return the first cell of each row of the first table after a heading."""
    after = (ROOT / "docs" / page).read_text(encoding="utf-8").split(heading, 1)[1]
    table = re.findall(r"(?:^\|.*\n)+", after, re.MULTILINE)[0]
    return [row.split("|")[1].strip() for row in table.splitlines()[2:]]


def test_each_command_is_listed() -> None:
    listed = [
        name.strip("` ") for row in rows_of("command_line.md", "#") for name in row.split(",")
    ]
    assert sorted(listed) == sorted(batchflow.commands)


def test_each_exit_code_is_listed() -> None:
    listed = {
        int(code) for row in rows_of("command_line.md", "## Exit codes") for code in row.split(",")
    }
    assert listed == {code.value for code in ExitCode} | {129, 130, 143}


@pytest.mark.parametrize(
    ("heading", "kind"), [("key of `report`", Report), ("key of `load`", LoadReport)]
)
def test_each_key_of_the_json_is_listed(heading: str, kind: type) -> None:
    after = (ROOT / "docs/command_line.md").read_text(encoding="utf-8").split(heading, 1)[1]
    rows = after.split("\n\n", 1)[0].splitlines()[2:]
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    added = {"runs", "paused", "paused_before", "refused"} if kind is Report else set()
    assert listed == {field.name for field in dataclasses.fields(kind)} | added
