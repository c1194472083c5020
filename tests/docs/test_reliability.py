"""Each test that RELIABILITY.md names is there, and every fault of its table names one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "RELIABILITY.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| fault ", "| fault or not ", "| --- "))
]


def named_in(row: str) -> list[tuple[str, str]]:
    """Answer pairs of a file and a test; where a name has no file, it is of the last one."""
    named, file = [], ""
    for given, test in re.findall(r"`(tests/[^`:]+)?::(\w+)`", row):
        file = given or file
        named.append((file, test))
    return named


def functions_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:50])
def test_each_row_names_tests_that_are_there(row: str) -> None:
    named = named_in(row)
    assert named
    for file, test in named:
        assert test in functions_in(ROOT / file), f"{file} has no {test}"


def test_the_table_is_found() -> None:
    assert len(ROWS) >= 25
