"""Pickles are read in one place, which a worker uses for the code that its engine sent."""

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
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    methods = {func.attr for func in calls if isinstance(func, ast.Attribute)}
    return methods | {func.id for func in calls if isinstance(func, ast.Name)}


def contexts_loaded(tree: ast.AST) -> bool:
    """Return whether a module calls `ExecutorContext.from_bytes`."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "from_bytes"
        and isinstance(node.value, ast.Name)
        and node.value.id == "ExecutorContext"
        for node in ast.walk(tree)
    )


TREES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text())
    for path in PACKAGE.rglob("*.py")
}


def test_only_one_module_reads_pickles() -> None:
    pickling = {path for path, tree in TREES.items() if imported(tree) & PICKLING}
    reading = {path for path in pickling if called(TREES[path]) & {"load", "loads", "Unpickler"}}

    assert reading == {"worker/code_loading.py"}


def test_only_workers_load_code() -> None:
    loading = {path for path, tree in TREES.items() if "unpickled_workflows" in called(tree)}

    # A context loads code in `from_bytes`, for workers on other machines. A node is one of these.
    assert loading == {"worker/main.py", "executor/context.py"}
    assert [path for path, tree in TREES.items() if contexts_loaded(tree)] == [
        "executor/nodes/node.py"
    ]
