"""Pickles are read in one place: a worker, of what its own engine sent it."""

from __future__ import annotations

import ast
from pathlib import Path

import batchflow

PICKLING = {"pickle", "cloudpickle", "marshal", "shelve", "dill", "joblib"}
PACKAGE = Path(batchflow.__file__).parent


def imported(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def called(tree: ast.AST) -> set[str]:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {func.attr for func in calls if isinstance(func, ast.Attribute)}


def test_only_a_worker_reads_pickles() -> None:
    trees = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    pickling = {path for path, tree in trees.items() if imported(tree) & PICKLING}
    reading = {path for path in pickling if called(trees[path]) & {"load", "loads", "Unpickler"}}

    assert {path.relative_to(PACKAGE).as_posix() for path in reading} == {"worker/main.py"}
