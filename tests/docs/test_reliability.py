"""Each test named in RELIABILITY.md exists, and each fault of its tables names a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "RELIABILITY.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| fault ", "| --- "))
]


def named_tests(row: str) -> list[tuple[str, str]]:
    """Return pairs of a file and a test; a test without a file belongs to the file before it."""
    named, file = [], ""
    for path, test in re.findall(r"`(tests/[^`:]+)?::(\w+)`", row):
        file = path or file
        named.append((file, test))
    return named


def functions_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:50])
def test_each_row_names_tests_that_exist(row: str) -> None:
    named = named_tests(row)
    assert named
    for file, test in named:
        assert test in functions_in(ROOT / file), f"{file} has no test {test}."


def test_the_tables_are_found() -> None:
    assert len(ROWS) >= 25
